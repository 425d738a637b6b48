//go:build linux

package nftables

import (
	"encoding/binary"
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// google/nftables makes tables, chains, rules and sets; the elements of the
// sets, which come by the ten thousand, go through a socket of our own. It asks
// for one answer a transaction instead of one a message, so that answers are
// not lost (ENOBUFS), reads dumps with a large buffer (small ones make the
// kernel walk the set again and again), can ask for single elements, and knows
// its port, by which our own changes are told from those of others.

const (
	// bufferSize is asked for the socket's buffers: a transaction has to fit
	// the send buffer whole. 20,000 refreshed IPv6 entries are 2.2 MB.
	bufferSize = 16 << 20
	// dumpSize is what one read takes; the kernel fills at most 32 KiB of it.
	dumpSize = 64 << 10
	// answerTime is how long an answer may take, in seconds. The kernel works
	// a transaction off before send returns, so what is not there then was
	// lost; under heavy load a commit waits for other users of nftables.
	answerTime = 10
)

// errLost says that an answer was lost: nobody knows what arrived.
var errLost = errors.New("the kernel's answer was lost")

// A socket is a netlink connection to nf_tables, for one goroutine.
type socket struct {
	fd   int
	port uint32 // what the kernel calls us in the notices of our changes
	seq  uint32
	send int // bytes that one transaction may have
	recv int // bytes of answers that may wait
	buf  []byte
}

func dial() (*socket, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_NETFILTER)
	if err != nil {
		return nil, fmt.Errorf("netlink socket: %w", err)
	}
	s := &socket{fd: fd, buf: make([]byte, dumpSize)}
	if err := s.prepare(); err != nil {
		s.close()
		return nil, fmt.Errorf("netlink socket: %w", err)
	}
	return s, nil
}

func (s *socket) prepare() error {
	if err := unix.Bind(s.fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return err
	}
	name, err := unix.Getsockname(s.fd)
	if err != nil {
		return err
	}
	s.port = name.(*unix.SockaddrNetlink).Pid
	// FORCE needs CAP_NET_ADMIN in the first user namespace; in others, the
	// host's limit (net.core.wmem_max) holds and large changes are split.
	for _, o := range [][2]int{{unix.SO_SNDBUFFORCE, unix.SO_SNDBUF}, {unix.SO_RCVBUFFORCE, unix.SO_RCVBUF}} {
		if unix.SetsockoptInt(s.fd, unix.SOL_SOCKET, o[0], bufferSize) != nil {
			if err := unix.SetsockoptInt(s.fd, unix.SOL_SOCKET, o[1], bufferSize); err != nil {
				return err
			}
		}
	}
	if s.send, err = unix.GetsockoptInt(s.fd, unix.SOL_SOCKET, unix.SO_SNDBUF); err != nil {
		return err
	}
	if s.recv, err = unix.GetsockoptInt(s.fd, unix.SOL_SOCKET, unix.SO_RCVBUF); err != nil {
		return err
	}
	s.send -= 64 // af_netlink takes 32 off
	// Errors carry the kernel's words, but not a copy of the message. Kernels
	// before 4.12 have neither; their errors are longer, that is all.
	_ = unix.SetsockoptInt(s.fd, unix.SOL_NETLINK, unix.NETLINK_CAP_ACK, 1)
	_ = unix.SetsockoptInt(s.fd, unix.SOL_NETLINK, unix.NETLINK_EXT_ACK, 1)
	return unix.SetsockoptTimeval(s.fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: answerTime})
}

func (s *socket) close() error { return unix.Close(s.fd) }

func (s *socket) write(b []byte) error {
	for {
		err := unix.Sendto(s.fd, b, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK})
		if !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}

// read calls f for every message of the next datagram, until f says stop.
func (s *socket) read(f func(m message) (stop bool, err error)) (bool, error) {
	n, err := 0, error(unix.EINTR)
	for errors.Is(err, unix.EINTR) {
		n, _, err = unix.Recvfrom(s.fd, s.buf, 0)
	}
	if errors.Is(err, unix.ENOBUFS) || errors.Is(err, unix.EAGAIN) {
		return false, errLost
	}
	if err != nil {
		return false, err
	}
	for b := s.buf[:n]; len(b) >= headerLen; {
		size := int(binary.NativeEndian.Uint32(b))
		if size < headerLen || size > len(b) {
			return false, fmt.Errorf("netlink: message of %d bytes in %d", size, len(b))
		}
		stop, err := f(message{b[:size]})
		if stop || err != nil {
			return stop, err
		}
		b = b[min(align(size), len(b)):]
	}
	return false, nil
}

// commit sends a transaction and waits for its one answer. The error is the
// first that the kernel gave: then nothing of it is in force; or errLost.
func (s *socket) commit(t *batch) error {
	first, last := t.seal(s.seq)
	s.seq = last + 1
	if err := s.write(t.b); err != nil {
		return err
	}
	var refused error
	for {
		stop, err := s.read(func(m message) (bool, error) {
			errno, text, ok := m.result()
			if !ok || m.seq() < first || m.seq() > last {
				return false, nil
			}
			if errno != 0 && refused == nil {
				refused = &kernelError{errno, text}
			}
			// The first message stands for all: an error before any was looked at.
			return m.seq() == last || m.seq() == first && errno != 0, nil
		})
		if err != nil {
			return err
		}
		if stop {
			return refused
		}
	}
}

// A kernelError is an errno with the kernel's own words, where it has some.
type kernelError struct {
	errno unix.Errno
	text  string
}

func (e *kernelError) Error() string {
	if e.text == "" {
		return e.errno.Error()
	}
	return e.errno.Error() + ": " + e.text
}

func (e *kernelError) Unwrap() error { return e.errno }
