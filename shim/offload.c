/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the network interfaces do to SCTP inside of UDP. A Linux kernel that leaves the cutting of
 * packets to the interface (GSO) loses nearly all of them there when the interface cannot cut SCTP:
 * a bulk transfer runs at a hundred kilobytes a second (seen with 6.1). See ethtool(8).
 */
#define _GNU_SOURCE
#include "offload.h"

#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

enum { FEATURES_MAX = 256 };

static bool ask(int fd, const char *interface, void *question)
{
    struct ifreq request = {.ifr_data = question};

    snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", interface);
    return ioctl(fd, SIOCETHTOOL, &request) == 0;
}

/* The number of the feature that the kernel calls so, or -1. */
static int feature_number(int fd, const char *interface, const char *name, uint32_t *count)
{
    union {
        struct ethtool_sset_info head;
        char room[sizeof(struct ethtool_sset_info) + sizeof(uint32_t)];
    } set = {.head = {.cmd = ETHTOOL_GSSET_INFO, .sset_mask = 1ULL << ETH_SS_FEATURES}};
    static union {
        struct ethtool_gstrings head;
        char room[sizeof(struct ethtool_gstrings) + (size_t)FEATURES_MAX * ETH_GSTRING_LEN];
    } names;

    if (!ask(fd, interface, &set) || !set.head.sset_mask)
        return -1;
    memcpy(count, set.head.data, sizeof(*count));
    names.head = (struct ethtool_gstrings){
        .cmd = ETHTOOL_GSTRINGS, .string_set = ETH_SS_FEATURES, .len = *count};
    if (*count > FEATURES_MAX || !ask(fd, interface, &names))
        return -1;
    for (uint32_t i = 0; i < *count; i++)
        if (strncmp((const char *)names.head.data + (size_t)i * ETH_GSTRING_LEN, name,
                    ETH_GSTRING_LEN) == 0)
            return (int)i;
    return -1;
}

static bool feature_is_on(int fd, const char *interface, const char *name)
{
    enum { BLOCKS = FEATURES_MAX / 32 };
    union {
        struct ethtool_gfeatures head;
        char room[sizeof(struct ethtool_gfeatures) +
                  BLOCKS * sizeof(struct ethtool_get_features_block)];
    } features = {.head = {.cmd = ETHTOOL_GFEATURES}};
    uint32_t count;
    int number = feature_number(fd, interface, name, &count);

    features.head.size = number < 0 ? 0 : (count + 31) / 32;
    return number >= 0 && ask(fd, interface, &features) &&
           features.head.features[number / 32].active >> number % 32 & 1;
}

/* An interface without these features cuts nothing, and so nothing wrongly. */
static bool spoils_encapsulation(int fd, const char *interface)
{
    return feature_is_on(fd, interface, "tx-generic-segmentation") &&
           !feature_is_on(fd, interface, "tx-sctp-segmentation");
}

bool offload_spoils(char *interfaces, size_t size)
{
    struct if_nameindex *all = if_nameindex();
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    size_t used = 0;

    interfaces[0] = '\0';
    for (size_t i = 0; all && fd >= 0 && all[i].if_index; i++)
        if (spoils_encapsulation(fd, all[i].if_name) && used + IFNAMSIZ + 2 < size)
            used += (size_t)snprintf(interfaces + used, size - used, "%s%s", used ? " " : "",
                                     all[i].if_name);
    if (all)
        if_freenameindex(all);
    if (fd >= 0)
        close(fd);
    return used > 0;
}
