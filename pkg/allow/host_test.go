package allow

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

func hostOptions(w *world) Options {
	o := w.options()
	o.Host = true
	return o
}

func (g gateway) String() string    { return g.addr.String() + " " + g.over }
func (s nameserver) String() string { return fmt.Sprint(s.line, " ", s.addr) }
func (r utmpRecord) String() string { return fmt.Sprint(r.pid, " ", r.line, " ", r.user, " ", r.peer) }

// A routing table with the numbers as this machine's byte order prints them.
func route4(iface, dst, gw, flags, mask string) string {
	number := func(s string) string {
		b := netip.MustParseAddr(s).As4()
		return fmt.Sprintf("%08X", binary.NativeEndian.Uint32(b[:]))
	}
	return iface + "\t" + number(dst) + "\t" + number(gw) + "\t" + flags + "\t0\t0\t0\t" + number(mask) + "\t0\t0\t0   \n"
}

func TestRoutes4(t *testing.T) {
	text := "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n" +
		route4("eth0", "0.0.0.0", "192.0.2.254", "0003", "0.0.0.0") +
		route4("eth0", "192.0.2.0", "0.0.0.0", "0001", "255.255.255.0") +
		route4("eth1", "198.51.100.0", "192.0.2.9", "0003", "255.255.255.0") + // not a default route
		route4("eth1", "0.0.0.0", "198.51.100.1", "0003", "0.0.0.0") +
		route4("eth2", "0.0.0.0", "203.0.113.1", "0002", "0.0.0.0") + // down
		route4("ppp0", "0.0.0.0", "0.0.0.0", "0001", "0.0.0.0") + // no gateway
		"eth3\t00000000\tzz\t0003\t0\t0\t0\t00000000\n" + "short\n"
	got := fmt.Sprint(parseRoutes4(strings.NewReader(text)))
	if want := "[192.0.2.254 eth0 198.51.100.1 eth1]"; got != want {
		t.Fatalf("%s, want %s", got, want)
	}
}

func TestRoutes6(t *testing.T) {
	zero := strings.Repeat("0", 32)
	text := "20010db8000000000000000000000000 20 " + zero + " 00 " + zero + " 00000100 00000001 00000000 00000001     eth0\n" +
		zero + " 00 " + zero + " 00 20010db8000000000000000000000001 00000400 00000002 00000000 00000003     eth0\n" +
		zero + " 00 " + zero + " 00 " + zero + " ffffffff 00000001 00000000 00200200       lo\n" +
		zero + " 00 " + zero + " 00 20 00000400 00000002 00000000 00000003 eth1\n" + "x\n"
	got := fmt.Sprint(parseRoutes6(strings.NewReader(text)))
	if want := "[2001:db8::1 eth0]"; got != want {
		t.Fatalf("%s, want %s", got, want)
	}
}

func TestRouteGet(t *testing.T) {
	out := "   route to: 0.0.0.0\ndestination: 0.0.0.0\n       mask: 0.0.0.0\n    gateway: 192.0.2.254\n        fib: 0\n  interface: vtnet0\n      flags: <UP,GATEWAY,DONE,STATIC>\n"
	if g, ok := parseRouteGet([]byte(out)); !ok || fmt.Sprint(g) != "192.0.2.254 vtnet0" {
		t.Fatal(g, ok)
	}
	if g, ok := parseRouteGet([]byte("    gateway: fe80::1%em0\n")); !ok || g.addr != netip.MustParseAddr("fe80::1") {
		t.Fatal(g, ok)
	}
	if g, ok := parseRouteGet([]byte("route: route has not been found\n")); ok {
		t.Fatal(g)
	}
}

func TestResolvConf(t *testing.T) {
	text := "# generated\nsearch example\nnameserver 192.0.2.53\n;nameserver 192.0.2.99\n nameserver\t2001:db8::53 # second\nnameserver fe80::1%eth0\nnameserver nonsense\nnameserver\noptions edns0\n"
	got := fmt.Sprint(parseResolvConf([]byte(text)))
	if want := "[3 192.0.2.53 5 2001:db8::53 6 fe80::1]"; got != want {
		t.Fatalf("%s, want %s", got, want)
	}
}

func FuzzParseResolvConf(f *testing.F) {
	f.Add([]byte("nameserver 192.0.2.53\nnameserver fe80::1%eth0\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		found := parseResolvConf(text)
		if len(found) > maxResolvers {
			t.Fatal(len(found))
		}
		for _, s := range found {
			if !s.addr.IsValid() || s.addr.Zone() != "" || s.line < 1 {
				t.Fatal(s)
			}
		}
	})
}

func TestSessionFiles(t *testing.T) {
	good := map[string]string{
		"UID": "0", "USER": "root", "ACTIVE": "1", "STATE": "active", "REMOTE": "1", "TYPE": "tty",
		"CLASS": "user", "SERVICE": "sshd", "TTY": "pts/0", "REMOTE_HOST": "198.51.100.7",
	}
	text := func(change ...string) []byte {
		var b strings.Builder
		b.WriteString("# This is private data. Do not parse.\n")
		for k, v := range good {
			for i := 0; i < len(change); i += 2 {
				if change[i] == k {
					v = change[i+1]
				}
			}
			if v != "" {
				fmt.Fprintf(&b, "%s=%s\n", k, v)
			}
		}
		return []byte(b.String())
	}
	for _, c := range []struct {
		name   string
		change []string
		want   string
	}{
		{"a login", nil, "ssh session of root (pts/0) 198.51.100.7"},
		{"no terminal", []string{"TTY", ""}, "ssh session of root (session 12) 198.51.100.7"},
		{"no user name", []string{"USER", ""}, "ssh session of uid 0 (pts/0) 198.51.100.7"},
		{"IPv6", []string{"REMOTE_HOST", "2001:db8::7"}, "ssh session of root (pts/0) 2001:db8::7"},
		{"a zone", []string{"REMOTE_HOST", "fe80::7%eth0"}, "ssh session of root (pts/0) fe80::7"},
		{"in quotes", []string{"REMOTE_HOST", `"198.51.100.8"`}, "ssh session of root (pts/0) 198.51.100.8"},
		{"in the background", []string{"STATE", "online"}, "ssh session of root (pts/0) 198.51.100.7"},
		{"foreign bytes", []string{"USER", "\x1b[31mroot"}, "ssh session of ?[31mroot (pts/0) 198.51.100.7"},
		{"closing", []string{"STATE", "closing"}, ""},
		{"local", []string{"REMOTE", "0"}, ""},
		{"greeter", []string{"CLASS", "greeter"}, ""},
		{"manager", []string{"CLASS", "manager"}, ""},
		{"ftp", []string{"SERVICE", "vsftpd"}, ""},
		{"a name", []string{"REMOTE_HOST", "host.example"}, ""},
		{"no host", []string{"REMOTE_HOST", ""}, ""},
	} {
		s, ok := parseSession("12", text(c.change...))
		got := ""
		if ok {
			got = s.origin() + " " + s.peer.String()
		}
		if got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}

func FuzzParseSession(f *testing.F) {
	f.Add([]byte("REMOTE=1\nCLASS=user\nSTATE=active\nSERVICE=sshd\nREMOTE_HOST=192.0.2.1\nUSER=a\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		if s, ok := parseSession("1", text); ok && (!s.peer.IsValid() || len(s.origin()) > 120) {
			t.Fatal(s)
		}
	})
}

// utmpRecordBytes makes a record as glibc does.
func utmpRecordBytes(l utmpLayout, kind uint16, pid int32, line, user, addr string) []byte {
	b := make([]byte, l.size)
	binary.NativeEndian.PutUint16(b, kind)
	binary.NativeEndian.PutUint32(b[4:], uint32(pid))
	copy(b[8:], line)
	copy(b[44:], user)
	copy(b[76:], "host.of.the.attacker.example")
	if addr != "" {
		copy(b[l.addr:], netip.MustParseAddr(addr).AsSlice())
	}
	return b
}

func TestUtmp(t *testing.T) {
	for _, arch := range []string{"amd64", "arm64", "386", "riscv64"} {
		l := layoutOf(arch)
		text := bytes.Join([][]byte{
			utmpRecordBytes(l, 2, 0, "~", "reboot", ""),
			utmpRecordBytes(l, 7, 100, "pts/0", "root", "198.51.100.7"),
			utmpRecordBytes(l, 7, 101, "pts/1", "admin", "2001:db8::7"),
			utmpRecordBytes(l, 7, 102, "tty1", "root", ""),
			utmpRecordBytes(l, 8, 103, "pts/2", "gone", "198.51.100.8"),
			utmpRecordBytes(l, 7, 104, "pts/3", "half", "198.51.100.9")[:l.size-1],
		}, nil)
		got := fmt.Sprint(parseUtmp(text, l))
		if want := "[100 pts/0 root 198.51.100.7 101 pts/1 admin 2001:db8::7]"; got != want {
			t.Errorf("%s: %s, want %s", arch, got, want)
		}
	}
}

func FuzzParseUtmp(f *testing.F) {
	f.Add(utmpRecordBytes(layoutOf("amd64"), 7, 100, "pts/0", "root", "198.51.100.7"))
	f.Add(utmpRecordBytes(layoutOf("arm64"), 7, 100, "pts/0", "root", "2001:db8::1"))
	f.Fuzz(func(t *testing.T, text []byte) {
		for _, arch := range []string{"amd64", "arm64"} {
			l := layoutOf(arch)
			found := parseUtmp(text, l)
			if len(found) > len(text)/l.size {
				t.Fatalf("%d records in %d bytes", len(found), len(text))
			}
			for _, r := range found {
				if !r.peer.IsValid() || r.peer.IsUnspecified() || len(r.line)+len(r.user) > 64 || strings.ContainsAny(r.line+r.user, "\x00\n ") {
					t.Fatalf("%+v", r)
				}
			}
		}
	})
}

func TestInterfacesAndResolvers(t *testing.T) {
	w := newWorld(t)
	for _, a := range []string{"127.0.0.1", "192.0.2.5", "10.0.0.5", "2001:db8::5", "fe80::1%eth0", "::ffff:192.0.2.6"} {
		w.nics = append(w.nics, InterfaceAddr{"eth0", netip.MustParseAddr(a)})
	}
	w.write("/etc/resolv.conf", "nameserver 127.0.0.53\nnameserver 198.51.100.53\n")
	w.write("/run/systemd/resolve/resolv.conf", "\nnameserver 2001:db8::53\n")
	c := New(hostOptions(w))
	l := w.collect(c)
	want := []string{
		"10.0.0.5/32 interface eth0", "192.0.2.5/32 interface eth0", "192.0.2.6/32 interface eth0",
		"198.51.100.53/32 resolver /etc/resolv.conf:2", "2001:db8::5/128 interface eth0",
		"2001:db8::53/128 resolver /run/systemd/resolve/resolv.conf:2",
	}
	expect(t, "entries", lines(l), want...)
	expect(t, "problems", problems(l))

	w.nics, w.nerr = nil, errBroken
	l = w.collect(c)
	expect(t, "after a failure", lines(l), want...)
	expectOne(t, l, Alarm, "interfaces", "broken on purpose", "stays in force")

	w.nics, w.nerr = []InterfaceAddr{{"eth1", netip.MustParseAddr("203.0.113.5")}}, nil
	w.remove("/etc/resolv.conf")
	w.remove("/run")
	l = w.collect(c)
	expect(t, "other addresses", append(lines(l), problems(l)...), "203.0.113.5/32 interface eth1")
}

func TestInterfacesOfThisHost(t *testing.T) {
	found, err := interfaces()
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range found {
		if a.Addr.IsLoopback() && a.Interface != "" {
			return
		}
	}
	t.Fatalf("no loopback in %v", found)
}

func TestSSHConnectionOfACommand(t *testing.T) {
	w := newWorld(t)
	o := w.options()
	o.SSHConnection = "198.51.100.7 50022 192.0.2.5 22"
	expect(t, "entries", lines(w.collect(New(o))), "198.51.100.7/32 session SSH_CONNECTION")
	for _, s := range []string{"", "x", "198.51.100.7", "nonsense 1 2 3", strings.Repeat("1", 100) + " 1"} {
		if a, ok := SSHPeer(s); ok {
			t.Errorf("%q: %s", s, a)
		}
	}
}

func TestOddSessionFilesDoNotHang(t *testing.T) {
	w := newWorld(t)
	w.write(sessionFolder+"/c1", "REMOTE=1\nCLASS=user\nSTATE=active\nSERVICE=sshd\nREMOTE_HOST=198.51.100.7\nUSER=root\n")
	for _, name := range []string{"2.ref", "3"} {
		if err := syscall.Mkfifo(filepath.Join(w.root, sessionFolder, name), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	w.write(sessionFolder+"/4", strings.Repeat("x", maxSessionFile+1))
	if err := os.Mkdir(filepath.Join(w.root, sessionFolder, "5"), 0o755); err != nil {
		t.Fatal(err)
	}
	all, found, err := w.options().logind()
	if err != nil || !found || len(all) != 1 || all[0].origin() != "ssh session of root (session c1)" {
		t.Fatal(all, found, err)
	}
}
