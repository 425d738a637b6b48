package sever_test

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"runtime"
	"syscall"
	"testing"
	"time"

	"github.com/postmoat/postmoat/pkg/firewall"
	"github.com/postmoat/postmoat/pkg/firewall/firewalltest"
	"github.com/postmoat/postmoat/pkg/maillog"
	"golang.org/x/sys/unix"
)

func TestMain(m *testing.M) { firewalltest.Main(m) }

var options = firewall.Options{Ports: [maillog.NumDoors][]uint16{maillog.SMTP: {25}, maillog.Login: {587, 143}}}

var (
	server4 = netip.MustParseAddr("198.51.100.1")
	server6 = netip.MustParseAddr("2001:db8:ffff::1")
)

// clients are all behind one cable.
var clients = []string{
	"192.0.2.7", "192.0.2.8", "192.0.2.200", "192.0.3.7", "203.0.113.5",
	"2001:db8:0:700::7", "2001:db8:0:700::8", "2001:db8:0:701::7", "2001:db8:0:800::1",
}

// A world is a mail server, in the namespace of the test itself, and its
// clients. Port 25 and 2222 are listened at by sockets of both families at
// once, as Go does it, ports 587 and 143 by one socket each family, as Postfix
// and Dovecot do it.
type world struct {
	away      *firewalltest.Namespace
	listeners map[string]net.Listener // "tcp 25"
}

func newWorld(t testing.TB) *world {
	t.Helper()
	firewalltest.NeedNamespace(t)
	firewalltest.NeedTool(t, "ip")
	here := firewalltest.Here(t)
	w := &world{firewalltest.NewNamespace(t), make(map[string]net.Listener)}
	here.Run(t, "ip", "link", "add", "mx0", "type", "veth", "peer", "name", "cli0", "netns", w.away.Path())
	t.Cleanup(func() { here.Run(t, "ip", "link", "del", "mx0") })
	for n, dev := range map[*firewalltest.Namespace]string{here: "mx0", w.away: "cli0"} {
		n.Run(t, "ip", "link", "set", dev, "addrgenmode", "none")
		n.Run(t, "ip", "link", "set", dev, "up")
	}
	for _, a := range []string{server4.String() + "/24", server6.String() + "/64"} {
		here.Run(t, "ip", "addr", "add", a, "dev", "mx0", "nodad")
	}
	for _, a := range append([]string{"198.51.100.2/24", "2001:db8:ffff::2/64"}, clients...) {
		w.away.Run(t, "ip", "addr", "add", a, "dev", "cli0", "nodad")
	}
	for _, r := range []string{"192.0.2.0/23", "203.0.113.0/24", "2001:db8::/36"} {
		here.Run(t, "ip", "route", "add", r, "dev", "mx0")
	}
	for _, l := range []struct{ network, port string }{
		{"tcp", "25"}, {"tcp", "2222"}, {"tcp4", "587"}, {"tcp6", "587"}, {"tcp4", "143"}, {"tcp6", "143"},
	} {
		w.listeners[l.network+" "+l.port] = listen(t, here, l.network, ":"+l.port)
	}
	return w
}

func listen(t testing.TB, n *firewalltest.Namespace, network, addr string) (l net.Listener) {
	t.Helper()
	var err error
	n.Do(func() {
		var c net.ListenConfig
		c.SetMultipathTCP(false)
		l, err = c.Listen(context.Background(), network, addr)
	})
	if err != nil {
		t.Fatalf("listen: %v", err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

// A session has two ends.
type session struct {
	what   string
	server *net.TCPConn
	client *net.TCPConn
}

// open is a new session of a client.
func (w *world) open(t testing.TB, client string, port int) session {
	t.Helper()
	from, to, family := netip.MustParseAddr(client), server4, "tcp4"
	if from.Is6() {
		to, family = server6, "tcp6"
	}
	l := w.listeners[fmt.Sprintf("tcp %d", port)]
	if l == nil {
		l = w.listeners[fmt.Sprintf("%s %d", family, port)]
	}
	return connect(t, w.away, from, l, netip.AddrPortFrom(to, uint16(port)))
}

func connect(t testing.TB, n *firewalltest.Namespace, from netip.Addr, l net.Listener, to netip.AddrPort) session {
	t.Helper()
	var client net.Conn
	var err error
	n.Do(func() {
		d := net.Dialer{Timeout: patience, LocalAddr: net.TCPAddrFromAddrPort(netip.AddrPortFrom(from, 0))}
		client, err = d.Dial("tcp", to.String())
	})
	if err != nil {
		t.Fatalf("%v to %v: %v", from, to, err)
	}
	l.(*net.TCPListener).SetDeadline(time.Now().Add(patience))
	server, err := l.Accept()
	if err != nil {
		t.Fatalf("%v to %v: accept: %v", from, to, err)
	}
	x := session{fmt.Sprintf("%v to %v", from, to), server.(*net.TCPConn), client.(*net.TCPConn)}
	t.Cleanup(func() {
		x.server.SetLinger(0) // nothing of it is left for the next test
		x.server.Close()
		x.client.Close()
	})
	return x
}

// patience is how long what is expected may take.
const patience = 10 * time.Second

// state is that of the server's socket (tcp_states.h).
func (s session) state(t testing.TB) (state uint8) {
	t.Helper()
	raw, err := s.server.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	raw.Control(func(fd uintptr) {
		info, infoErr := unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO)
		if err = infoErr; err == nil {
			state = info.State
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	return state
}

// until waits for a state that the peer brings about.
func (s session) until(t testing.TB, want uint8) {
	t.Helper()
	for end := time.Now().Add(patience); s.state(t) != want; runtime.Gosched() {
		if time.Now().After(end) {
			t.Fatalf("%s: state %d, want %d", s.what, s.state(t), want)
		}
	}
}

// lives says whether a byte still gets from end to end, both ways.
func (s session) lives() bool {
	deadline := time.Now().Add(patience)
	b := make([]byte, 1)
	for _, way := range [][2]*net.TCPConn{{s.server, s.client}, {s.client, s.server}} {
		way[0].SetDeadline(deadline)
		way[1].SetDeadline(deadline)
		if _, err := way[0].Write([]byte("x")); err != nil {
			return false
		}
		if _, err := way[1].Read(b); err != nil {
			return false
		}
	}
	return true
}

// read is what a server sees that waits for its client to speak, as smtpd does.
func (s session) read() <-chan error {
	done := make(chan error, 1)
	s.server.SetDeadline(time.Now().Add(patience))
	go func() {
		_, err := s.server.Read(make([]byte, 1))
		done <- err
	}()
	return done
}

// unanswered sends the first packet of a connection from an address that
// nobody answers for: the server has a SYN_RECV of it.
func (w *world) unanswered(t testing.TB, from string, port uint16) {
	t.Helper()
	var err error
	w.away.Do(func() {
		var fd int
		if fd, err = unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0); err != nil {
			return
		}
		t.Cleanup(func() { unix.Close(fd) })
		if err = unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_TRANSPARENT, 1); err != nil {
			return
		}
		if err = unix.Bind(fd, &unix.SockaddrInet4{Addr: netip.MustParseAddr(from).As4()}); err != nil {
			return
		}
		err = unix.Connect(fd, &unix.SockaddrInet4{Addr: server4.As4(), Port: int(port)})
	})
	if err != syscall.EINPROGRESS {
		t.Fatalf("connect: %v", err)
	}
}

// waiting counts the lines of /proc/net/tcp and tcp6 with a state: those of this
// thread, for the first thread of the process may have become a namespace.
func waiting(t testing.TB, state string) (n int) {
	t.Helper()
	for _, file := range []string{"tcp", "tcp6"} {
		b, err := os.ReadFile("/proc/thread-self/net/" + file)
		if err != nil {
			t.Fatal(err)
		}
		n += countState(string(b), state)
	}
	return n
}
