package firewalltest

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"
)

// A syn sends first packets of connections, each once: the kernel of a client
// would send one again that was not answered, and so hide that it was cut.
type syn struct {
	fd     int
	from   netip.Addr
	packet [20]byte // a TCP header
	sum    uint32   // of the addresses and everything in the header but the port
}

const (
	sequence = 0x6d6f6174 // by which our answers are known
	flagSYN  = 1 << 1
	flagRST  = 1 << 2
	flagACK  = 1 << 4
)

// newSyn opens one from a client to a server. It must be called inside the
// namespace of the client (Do).
func newSyn(from netip.Addr, to netip.AddrPort) (*syn, error) {
	family := unix.AF_INET
	if from.Is6() {
		family = unix.AF_INET6
	}
	fd, err := unix.Socket(family, unix.SOCK_RAW|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, unix.IPPROTO_TCP)
	if err != nil {
		return nil, fmt.Errorf("raw socket: %w", err)
	}
	err = errors.Join(
		unix.Bind(fd, sockaddr(netip.AddrPortFrom(from, 0))),
		unix.Connect(fd, sockaddr(netip.AddrPortFrom(to.Addr(), 0)))) // it hears no others
	if err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("raw socket: %w", err)
	}
	s := &syn{fd: fd, from: from}
	binary.BigEndian.PutUint16(s.packet[2:], to.Port())
	binary.BigEndian.PutUint32(s.packet[4:], sequence)
	s.packet[12] = 5 << 4 // words of the header
	s.packet[13] = flagSYN
	binary.BigEndian.PutUint16(s.packet[14:], 1<<15)
	for _, b := range [][]byte{from.AsSlice(), to.Addr().AsSlice(), s.packet[:]} {
		for ; len(b) > 0; b = b[2:] {
			s.sum += uint32(binary.BigEndian.Uint16(b))
		}
	}
	s.sum += unix.IPPROTO_TCP + uint32(len(s.packet))
	return s, nil
}

// send sends one from a port of the client.
func (s *syn) send(port uint16) error {
	binary.BigEndian.PutUint16(s.packet[0:], port)
	sum := s.sum + uint32(port)
	for sum > 0xffff {
		sum = sum&0xffff + sum>>16
	}
	binary.BigEndian.PutUint16(s.packet[16:], ^uint16(sum))
	_, err := unix.Write(s.fd, s.packet[:])
	return err
}

// answers are the ports to which answers have come since the last time. What else
// the server sends is none: the sessions of an earlier test, that were cut off,
// send their last words again for minutes.
func (s *syn) answers() (ports []uint16, err error) {
	var buffer [256]byte
	for {
		n, err := unix.Read(s.fd, buffer[:])
		switch {
		case errors.Is(err, unix.EAGAIN):
			return ports, nil
		case errors.Is(err, unix.EINTR):
			continue
		case err != nil:
			return ports, err
		}
		b := buffer[:n]
		if s.from.Is4() { // with the IP header
			b = b[min(n, int(b[0]&15)*4):]
		}
		if len(b) >= 20 && b[13] == flagSYN|flagACK && binary.BigEndian.Uint32(b[8:]) == sequence+1 {
			ports = append(ports, binary.BigEndian.Uint16(b[2:]))
		}
	}
}

// expect waits for the answer to the last one that was sent.
func (s *syn) expect(port uint16) error {
	for deadline := time.Now().Add(patience); ; {
		ports, err := s.answers()
		if err != nil {
			return err
		}
		for _, p := range ports {
			if p == port {
				return nil
			}
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("a knock of %v was not answered", s.from)
		}
		poll := []unix.PollFd{{Fd: int32(s.fd), Events: unix.POLLIN}}
		if _, err := unix.Poll(poll, 100); err != nil && !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}

// A crowd are a banned client and an allowlisted one of the same network, both
// of which knock.
type crowd struct {
	bad, good *syn
	knocked   int // knocks of the banned one
	answered  int // and those that were answered
	welcome   int // knocks of the other one, each of which was answered
}

// burst is how many knocks of the banned client come before one of the other.
// It is far below the kernel's queue (1000), which is empty when that one has
// been answered: so nothing gets lost but what is cut.
const burst = 100

// knock sends a burst, and waits until it has been dealt with.
func (c *crowd) knock() error {
	for range burst {
		c.knocked++
		if err := c.bad.send(1024 + uint16(c.knocked%60000)); err != nil {
			return err
		}
	}
	c.welcome++
	port := 1024 + uint16(c.welcome%60000)
	if err := c.good.send(port); err != nil {
		return err
	}
	if err := c.good.expect(port); err != nil {
		return err
	}
	ports, err := c.bad.answers()
	c.answered += len(ports)
	return err
}

func newCrowd(bad, good string, to netip.AddrPort) (*crowd, error) {
	b, err := newSyn(netip.MustParseAddr(bad), to)
	if err != nil {
		return nil, err
	}
	g, err := newSyn(netip.MustParseAddr(good), to)
	if err != nil {
		b.close()
		return nil, err
	}
	return &crowd{bad: b, good: g}, nil
}

func (c *crowd) close() {
	c.bad.close()
	c.good.close()
}

func (s *syn) close() { unix.Close(s.fd) }
