package firewalltest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// The server of the packet tests, and what its clients may be called.
var (
	server4 = netip.MustParseAddr("198.51.100.1")
	server6 = netip.MustParseAddr("2001:db8:ffff::1")
)

// routes are the networks in which the clients live, behind one cable.
var routes = []string{"192.0.2.0/24", "203.0.113.0/24", "198.18.0.0/15", "2001:db8::/36"}

// A Net is a mail server and a cable to where all its clients are. The server
// lives in the namespace of the test itself, where the backend works.
type Net struct {
	Server, Clients *Namespace
}

// NewNet makes it, with the clients' addresses, and a server that listens at
// ports 25, 587, 143 and 2222, greets and echoes.
func NewNet(t testing.TB, clients ...string) *Net {
	t.Helper()
	n := NewCable(t, clients...)
	for _, port := range []int{25, 587, 143, 2222} {
		serve(t, n.Server, fmt.Sprintf(":%d", port))
	}
	return n
}

// NewCable makes it with nobody who listens.
func NewCable(t testing.TB, clients ...string) *Net {
	t.Helper()
	NeedNamespace(t)
	NeedTool(t, "ip")
	n := &Net{Here(t), NewNamespace(t)}
	n.Server.Run(t, "ip", "link", "add", "mx0", "type", "veth", "peer", "name", "cli0", "netns", n.Clients.Path())
	t.Cleanup(func() { n.Server.Run(t, "ip", "link", "del", "mx0") })
	// No link-local addresses: IPv6 would wait a second or two for them.
	n.Server.Run(t, "ip", "link", "set", "mx0", "addrgenmode", "none")
	n.Clients.Run(t, "ip", "link", "set", "cli0", "addrgenmode", "none")
	n.Server.Run(t, "ip", "addr", "add", server4.String()+"/24", "dev", "mx0")
	n.Server.Run(t, "ip", "addr", "add", server6.String()+"/64", "dev", "mx0", "nodad")
	n.Server.Run(t, "ip", "link", "set", "mx0", "up")
	n.Clients.Run(t, "ip", "addr", "add", "198.51.100.2/24", "dev", "cli0")
	n.Clients.Run(t, "ip", "addr", "add", "2001:db8:ffff::2/64", "dev", "cli0", "nodad")
	for _, c := range clients {
		a := netip.MustParseAddr(c)
		n.Clients.Run(t, "ip", "addr", "add", fmt.Sprintf("%v/%d", a, a.BitLen()), "dev", "cli0", "nodad")
	}
	n.Clients.Run(t, "ip", "link", "set", "cli0", "up")
	for _, r := range routes {
		n.Server.Run(t, "ip", "route", "add", r, "dev", "mx0")
	}
	return n
}

// serve greets and echoes at an address inside a namespace.
func serve(t testing.TB, n *Namespace, addr string) {
	t.Helper()
	var l net.Listener
	var err error
	n.Do(func() { l, err = net.Listen("tcp", addr) })
	if err != nil {
		t.Fatalf("listen: %v", err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				io.WriteString(c, "220\n")
				io.Copy(c, c)
			}()
		}
	}()
}

// A Verdict is what a client gets to see.
type Verdict string

// The verdicts.
const (
	Through Verdict = "gets through"
	Nothing Verdict = "gets nothing"
	Reset   Verdict = "gets a reset"
)

// How long a client waits for an answer: one that is expected may take its
// time; that nothing comes is seen by waiting a little.
const (
	patience   = 10 * time.Second
	impatience = 300 * time.Millisecond
)

// Dial is one attempt of a client.
func (n *Net) Dial(client string, port int, wait time.Duration) (net.Conn, error) {
	from := netip.MustParseAddr(client)
	to := server4
	if from.Is6() {
		to = server6
	}
	return dialFrom(n.Clients, from, netip.AddrPortFrom(to, uint16(port)), wait)
}

func dialFrom(n *Namespace, from netip.Addr, to netip.AddrPort, wait time.Duration) (c net.Conn, err error) {
	n.Do(func() {
		d := net.Dialer{Timeout: wait, LocalAddr: net.TCPAddrFromAddrPort(netip.AddrPortFrom(from, 0))}
		c, err = d.DialContext(context.Background(), "tcp", to.String())
	})
	if err != nil {
		return nil, err
	}
	c.SetDeadline(time.Now().Add(wait))
	greeting := make([]byte, 4)
	if _, err = io.ReadFull(c, greeting); err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

// Try is what a client sees that wants in.
func (n *Net) Try(client string, port int, wait time.Duration) Verdict {
	c, err := n.Dial(client, port, wait)
	if err == nil {
		c.Close()
	}
	return verdictOf(err)
}

func verdictOf(err error) Verdict {
	switch {
	case err == nil:
		return Through
	case errors.Is(err, unix.ECONNREFUSED), errors.Is(err, unix.ECONNRESET):
		return Reset
	}
	if e, ok := errors.AsType[net.Error](err); ok && e.Timeout() {
		return Nothing
	}
	return Verdict(err.Error())
}

// Expect fails the test when a client sees something else.
func (n *Net) Expect(t testing.TB, client string, port int, want Verdict) {
	t.Helper()
	wait := patience
	if want == Nothing {
		wait = impatience
	}
	if got := n.Try(client, port, wait); got != want {
		t.Errorf("%s at port %d %s, want: %s", client, port, got, want)
	}
}

// echo is what a client sees that says something in a session it has.
func echo(c net.Conn, wait time.Duration) Verdict {
	c.SetDeadline(time.Now().Add(wait))
	if _, err := io.WriteString(c, "NOOP\n"); err != nil {
		return verdictOf(err)
	}
	_, err := io.ReadFull(c, make([]byte, 5))
	return verdictOf(err)
}

func sockaddr(a netip.AddrPort) unix.Sockaddr {
	if a.Addr().Is4() {
		return &unix.SockaddrInet4{Port: int(a.Port()), Addr: a.Addr().As4()}
	}
	return &unix.SockaddrInet6{Port: int(a.Port()), Addr: a.Addr().As16()}
}
