package firewalltest

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"
)

// A Moment finds the moment from which on a client is cut off, with packets: each
// belongs to no connection, so that the server answers with a reset and neither
// side remembers anything. The first one that gets no answer was cut.
type Moment struct {
	s    *syn
	sent []time.Time // by number; number n is from port 1024 + n % 60000
	seen int         // the answered one with the highest number, -1: none
}

const (
	momentEvery = 50 * time.Microsecond // between packets
	momentSure  = 50 * time.Millisecond // without an answer
	momentPorts = 60_000
)

// NewMoment prepares for an IPv4 client, which may be any address that is routed
// to the clients.
func (n *Net) NewMoment(client string, port uint16) (*Moment, error) {
	var s *syn
	var err error
	n.Clients.Do(func() { s, err = newSyn(netip.MustParseAddr(client), netip.AddrPortFrom(server4, port)) })
	if err != nil {
		return nil, err
	}
	// An acknowledgement of nothing instead of the first packet of a connection.
	s.packet[13] = flagACK
	binary.BigEndian.PutUint32(s.packet[8:], sequence)
	s.sum += uint32(flagACK) - uint32(flagSYN) + sequence>>16 + sequence&0xffff
	return &Moment{s: s, seen: -1}, nil
}

// Close ends it.
func (m *Moment) Close() { m.s.close() }

// Await sends packets until the client has been without an answer for a while,
// and returns when the first one was sent that was cut. begun is called once,
// when the first answer has come. It is an error if that takes longer than
// patience.
func (m *Moment) Await(begun func(), patience time.Duration) (time.Time, error) {
	pause := unix.NsecToTimespec(momentEvery.Nanoseconds())
	deadline := time.Now().Add(patience)
	for now := time.Now(); now.Before(deadline); now = time.Now() {
		if first := m.seen + 1; m.seen >= 0 && first < len(m.sent) && now.Sub(m.sent[first]) > momentSure {
			return m.sent[first], nil
		}
		m.sent = append(m.sent, now)
		if err := m.s.send(uint16(1024 + (len(m.sent)-1)%momentPorts)); err != nil {
			return time.Time{}, fmt.Errorf("send: %w", err)
		}
		poll := []unix.PollFd{{Fd: int32(m.s.fd), Events: unix.POLLIN}}
		if _, err := unix.Ppoll(poll, &pause, nil); err != nil && !errors.Is(err, unix.EINTR) {
			return time.Time{}, fmt.Errorf("poll: %w", err)
		}
		before := m.seen
		if err := m.read(); err != nil {
			return time.Time{}, err
		}
		if before < 0 && m.seen >= 0 {
			begun()
		}
		if m.seen == len(m.sent)-1 {
			unix.Nanosleep(&pause, nil)
		}
	}
	return time.Time{}, fmt.Errorf("%v is not cut off within %v (%d of %d packets were answered)", m.s.from, patience, m.seen+1, len(m.sent))
}

// read takes the answers that have come.
func (m *Moment) read() error {
	var buffer [256]byte
	for {
		n, err := unix.Read(m.s.fd, buffer[:])
		switch {
		case errors.Is(err, unix.EAGAIN):
			return nil
		case errors.Is(err, unix.EINTR):
			continue
		case err != nil:
			return fmt.Errorf("read: %w", err)
		}
		b := buffer[:n]
		b = b[min(n, int(b[0]&15)*4):]
		if len(b) < 20 || b[13]&flagRST == 0 || binary.BigEndian.Uint32(b[4:]) != sequence {
			continue
		}
		// The newest packet from that port.
		last := len(m.sent) - 1
		back := (last%momentPorts - int(binary.BigEndian.Uint16(b[2:])) + 1024 + momentPorts) % momentPorts
		m.seen = max(m.seen, last-back)
	}
}
