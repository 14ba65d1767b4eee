/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What libusrsctp exports and its header does not declare: the way packets take. The library has
 * no public interface for packets with IP addresses that are sent and received by somebody else.
 * Only the leading fields of its structures are known here; stack_start() checks them.
 */
#ifndef SCTPSHIM_BROKER_USRSCTP_INTERNAL_H
#define SCTPSHIM_BROKER_USRSCTP_INTERNAL_H

#include <stdint.h>
#include <sys/queue.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <usrsctp.h>

/* A piece of a packet or message: in itself, or in a block that it shares with others. */
struct mbuf {
    struct mbuf *m_next;
    struct mbuf *m_nextpkt;
    char *m_data;
    int m_len;
    int m_flags;
    short m_type;
    struct {
        void *unused[2];
        int len; /* of the whole chain */
        int unused_too[5];
    } header; /* of MBUF_HEADER ones */
    struct {
        char *block;
        void *unused[2];
        unsigned size;
        unsigned *references;
        int kind;
    } shared; /* of MBUF_SHARED ones */
};

enum { MBUF_CLUSTER = 2048, MBUF_NOWAIT = 1, MBUF_DATA = 1 };
enum { MBUF_SHARED = 1, MBUF_HEADER = 2, MBUF_END = 4 }; /* m_flags */
enum { MBUF_FREED = 1 }; /* shared.kind: the block and its count are free()d with the last one */
enum { MBUF_ROOM = 256 - 40, MBUF_ROOM_HEADER = MBUF_ROOM - 40 }; /* what one holds in itself */

struct mbuf *m_get(int how, short type);
struct mbuf *m_gethdr(int how, short type);
void m_clget(struct mbuf *m, int how);
struct mbuf *m_copym(struct mbuf *m, int offset, int len, int how);
void m_freem(struct mbuf *m);
struct mbuf *sctp_get_mbuf_for_msg(unsigned space, int want_header, int how, int all_in_one,
                                   int type);

/* Messages as mbufs; its public functions copy them. errno values. What is not taken is freed. */
struct sctp_sndrcvinfo {
    uint16_t sinfo_stream, sinfo_ssn, sinfo_flags;
    uint32_t sinfo_ppid, sinfo_context, sinfo_timetolive, sinfo_tsn, sinfo_cumtsn;
    sctp_assoc_t sinfo_assoc_id;
    uint16_t keynumber, keynumber_valid;
    uint8_t unused[96];
};
struct uio {
    struct iovec *at;
    int count;
    off_t offset;
    ssize_t left;
    int where, direction;
};
int sctp_lower_sosend(struct socket *socket, struct sockaddr *to, struct uio *from,
                      struct mbuf *message, struct mbuf *control, int flags,
                      struct sctp_sndrcvinfo *info);
/* With `chain` no byte of `into` is used, but for what it says is left. */
int sctp_sorecvmsg(struct socket *socket, struct uio *into, struct mbuf **chain,
                   struct sockaddr *from, int from_len, int *flags, struct sctp_sndrcvinfo *info,
                   int wants_info);

/* A route as the library makes it, with an MTU of 1500 for every one. */
struct route {
    struct {
        void *interface, *address;
        uint32_t mtu;
    } *entry;
};
enum { ROUTE_MTU = 1500 };

/* Options that its header leaves out. */
enum { SCTP_PEER_ADDR_THLDS = 0x23, SCTP_CMT_ON_OFF = 0x1200 };
struct sctp_paddrthlds {
    struct sockaddr_storage spt_address;
    sctp_assoc_t spt_assoc_id;
    uint16_t spt_pathmaxrxt, spt_pathpfthld, spt_pathcpthld;
};

struct sctphdr;
struct sctp_chunkhdr;
void sctp_common_input_processing(struct mbuf **m, int iphlen, int offset, int length,
                                  struct sockaddr *src, struct sockaddr *dst, struct sctphdr *sh,
                                  struct sctp_chunkhdr *ch, uint8_t compute_crc, uint8_t ecn_bits,
                                  uint32_t vrf_id, uint16_t port);

/* The library's list of this host's addresses, which it reads once, at its start. */
struct sctp_ifa {
    void *links[4];
    void *ifn;
    void *unused;
    union sctp_sockstore address;
    uint32_t refcount;
    uint32_t flags;
    uint32_t localifa_flags;
    uint32_t vrf;
    uint8_t is_loopback, is_private, is_global; /* what it may be used for */
};
enum { IFA_VALID = 1, IFA_DEFER_USE = 4 };
struct sctp_ifa *sctp_add_addr_to_vrf(uint32_t vrf, void *ifn, uint32_t ifn_index, uint32_t type,
                                      const char *ifname, void *ifa, struct sockaddr *address,
                                      uint32_t flags, int dynamic);

/* Ours take the place of the library's, whose symbols the Makefile makes weak. */
void sctp_userspace_ip_output(int *result, struct mbuf *m, void *route, void *association,
                              uint32_t vrf);
void sctp_userspace_ip6_output(int *result, struct mbuf *m, void *route, void *association,
                               uint32_t vrf);
int usrsctp_no_thread(void);
int usrsctp_no_lock(void);
int usrsctp_no_trylock(void);
int usrsctp_no_unlock(void);
struct mbuf *m_getm2(struct mbuf *chain, int len, int how, short type, int flags, int all_in_one);
uint32_t calculate_crc32c(uint32_t crc, const unsigned char *bytes, unsigned len);

#endif
