#!/usr/bin/perl
# SPDX-License-Identifier: BSD-3-Clause
# An echo server that forks, and its client, over IO::Socket's buffered handles.
#   echo.pl server PORT | echo.pl client PORT FILE COPY
use strict;
use warnings;
use IO::Socket::INET;

sub slurp {
    my ($handle) = @_;
    local $/;
    my $data = <$handle>;
    return $data // '';
}

sub serve {
    my ($port) = @_;
    local $SIG{CHLD} = 'IGNORE';
    my $listener = IO::Socket::INET->new(
        LocalAddr => '127.0.0.1', LocalPort => $port, Listen => 5, ReuseAddr => 1) or die "$!";
    while (1) {
        my $connection = $listener->accept or next;
        next if fork;
        binmode $connection;
        print {$connection} slurp($connection) or die "print: $!";
        close $connection or die "close: $!";
        exit 0;
    }
}

sub client {
    my ($port, $file, $copy) = @_;
    my $connection = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $port)
        or die "connect: $!";
    binmode $connection;
    open my $source, '<:raw', $file or die "$file: $!";
    print {$connection} slurp($source) or die "print: $!";
    $connection->flush or die "flush: $!";
    $connection->shutdown(1) or die "shutdown: $!";
    open my $target, '>:raw', $copy or die "$copy: $!";
    print {$target} slurp($connection);
    close $target or die "$copy: $!";
}

my $role = shift;
$role eq 'server' ? serve(@ARGV) : client(@ARGV);
