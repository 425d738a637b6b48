package control

import (
	"fmt"
	"io"
	"net"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/postmoat/postmoat/pkg/ban"
	"github.com/postmoat/postmoat/pkg/daemon"
)

// hungUp waits until the other end of a connection has closed it, without
// reading anything.
func hungUp(t *testing.T, c net.Conn) {
	t.Helper()
	raw, err := c.(*net.UnixConn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var poll error
	err = raw.Control(func(fd uintptr) {
		for {
			_, poll = unix.Poll([]unix.PollFd{{Fd: int32(fd)}}, -1)
			if poll != unix.EINTR {
				return
			}
		}
	})
	if err != nil || poll != nil {
		t.Fatal(err, poll)
	}
}

// TestSlowReader: who asks and does not take the answer is cut off.
func TestSlowReader(t *testing.T) {
	f := newFake(t)
	for len(f.held) < 20000 { // some MB: more than the kernel keeps for a reader
		f.held = append(f.held, daemon.Held{Ban: ban.Ban{Prefix: f.held[1].Prefix, Until: start}})
	}
	f.opened = make(chan chan daemon.Event, 1)
	s := NewServer(Options{Daemon: f})
	s.wait.write = 50 * time.Millisecond
	path, _ := at(t, s)

	c := dial(t, path)
	fmt.Fprint(c, "GET /v1/bans HTTP/1.1\r\nHost: x\r\n\r\n")
	hungUp(t, c)
	if n, _ := io.Copy(io.Discard, c); n == 0 || n > 2<<20 {
		t.Errorf("%d bytes had been written", n)
	}

	c = dial(t, path)
	fmt.Fprint(c, "GET /v1/events HTTP/1.1\r\nHost: x\r\n\r\n")
	feed := <-f.opened
	gone := make(chan struct{})
	go func() { hungUp(t, c); close(gone) }()
	for {
		select {
		case feed <- daemon.Event{Type: "ban", Text: "more and more of it"}:
			continue
		case <-gone:
		}
		break
	}
	alive(t, path)
}
