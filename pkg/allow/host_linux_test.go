package allow

import (
	"bytes"
	"runtime"
	"strings"
	"testing"
	"time"
)

func TestGatewaysOfLinux(t *testing.T) {
	w := newWorld(t)
	w.write("/proc/net/route", "Iface\n"+route4("eth0", "0.0.0.0", "192.0.2.254", "0003", "0.0.0.0"))
	zero := strings.Repeat("0", 32)
	w.write("/proc/net/ipv6_route",
		zero+" 00 "+zero+" 00 20010db8000000000000000000000001 00000400 00000002 00000000 00000003     eth0\n"+
			zero+" 00 "+zero+" 00 fe800000000000000000000000000001 00000400 00000002 00000000 00000003     eth1\n")
	c := New(hostOptions(w))
	expect(t, "entries", lines(w.collect(c)),
		"192.0.2.254/32 gateway default gateway over eth0", "2001:db8::1/128 gateway default gateway over eth0")
}

func TestSessionsLastAsLongAsTheyLast(t *testing.T) {
	w := newWorld(t)
	l := layoutOf(runtime.GOARCH)
	w.write(sessionFolder+"/12", "REMOTE=1\nCLASS=user\nSTATE=active\nSERVICE=sshd\nREMOTE_HOST=198.51.100.7\nUSER=root\nTTY=pts/0\n")
	w.write("/run/utmp", string(bytes.Join([][]byte{
		utmpRecordBytes(l, 7, 100, "pts/0", "root", "198.51.100.7"),  // the same login
		utmpRecordBytes(l, 7, 101, "pts/1", "admin", "198.51.100.8"), // one that logind does not know
		utmpRecordBytes(l, 7, 102, "pts/2", "mallory", "198.51.100.9"),
		utmpRecordBytes(l, 7, 103, "pts/3", "stale", "198.51.100.10"),
		utmpRecordBytes(l, 7, 101, "ftpd44", "ftp", "198.51.100.11"),
	}, nil)))
	w.write("/proc/1/comm", "systemd\n")
	w.write("/proc/100/comm", "sshd-session\n")
	w.write("/proc/101/comm", "sshd\n")
	w.write("/proc/102/comm", "screen\n")
	c := New(hostOptions(w))
	expect(t, "logged in", lines(w.collect(c)),
		"198.51.100.7/32 session ssh session of root (pts/0)", "198.51.100.8/32 session ssh session of admin (pts/1)")

	w.remove(sessionFolder + "/12")
	w.remove("/proc/100")
	w.pass(2 * time.Second)
	expect(t, "one left", lines(w.refresh(c)), "198.51.100.8/32 session ssh session of admin (pts/1)")

	// Where the processes of others are hidden, the record has to do.
	w.remove("/proc")
	w.pass(2 * time.Second)
	if got := lines(w.refresh(c)); len(got) != 4 {
		t.Fatalf("entries %q", got)
	}
	w.remove("/run/utmp")
	w.remove(sessionFolder)
	w.pass(2 * time.Second)
	l2 := w.refresh(c)
	expect(t, "nobody", lines(l2))
	var said bool
	for _, s := range l2.Sources() {
		said = said || s.Name == "login sessions" && strings.Contains(s.Text, "neither logind nor utmp")
	}
	if !said {
		t.Fatalf("sources %v", l2.Sources())
	}
}
