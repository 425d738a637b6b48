package control

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestNoDaemon: the errors say what to do.
func TestNoDaemon(t *testing.T) {
	dir := t.TempDir()
	none, dead := filepath.Join(dir, "none"), filepath.Join(dir, "dead")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: dead})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	l.Close()
	for _, path := range []string{none, dead} {
		c := Dial(path)
		_, err := c.Status(t.Context())
		if !errors.Is(err, ErrNotRunning) || !strings.Contains(err.Error(), path+": is the daemon running?") || !strings.Contains(Hint(err), "postmoat run") {
			t.Errorf("%v, hint %q", err, Hint(err))
		}
		if err := c.Events(t.Context(), nil, nil); !errors.Is(err, ErrNotRunning) {
			t.Errorf("events: %v", err)
		}
		c.Close()
	}
}

// TestNotPermitted: who may not open the socket is told who may.
func TestNotPermitted(t *testing.T) {
	if os.Getuid() == 0 {
		t.Skip("root may open everything")
	}
	dir := t.TempDir()
	l, err := Listen(SocketOptions{Path: filepath.Join(dir, "s"), Mode: 0o200})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if err := os.Chmod(filepath.Join(dir, "s"), 0); err != nil {
		t.Fatal(err)
	}
	c := Dial(filepath.Join(dir, "s"))
	defer c.Close()
	_, err = c.Status(t.Context())
	if !errors.Is(err, ErrNotPermitted) || !strings.Contains(Hint(err), "you need to be root") {
		t.Errorf("%v, hint %q", err, Hint(err))
	}
}

// TestOrInGroup names the group of a socket where there is one that helps.
func TestOrInGroup(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "s")
	if err := os.WriteFile(path, nil, 0o660); err != nil {
		t.Fatal(err)
	}
	if os.Getuid() != 0 {
		t.Skip("only root can give a file to a group that has no name")
	}
	if err := os.Chown(path, -1, 54321); err != nil {
		t.Skip("this namespace has no other groups:", err)
	}
	if got := orInGroup(path); got != " or in group 54321" {
		t.Errorf("%q", got)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		t.Fatal(err)
	}
	if got := orInGroup(path); got != "" {
		t.Errorf("the group may not open it, still: %q", got)
	}
}

// TestForeignServer: what is no postmoat is not understood, and does no harm.
func TestForeignServer(t *testing.T) {
	for _, answer := range []string{
		"SSH-2.0-OpenSSH_9.9\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
		"HTTP/1.1 404 Not Found\r\nContent-Length: 5\r\n\r\nhello",
	} {
		path := filepath.Join(t.TempDir(), "s")
		l, err := net.Listen("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		done := make(chan struct{})
		go func() {
			defer close(done)
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				c.Read(make([]byte, 4096))
				c.Write([]byte(answer))
				c.Close()
			}
		}()
		c := Dial(path)
		if _, err := c.Status(t.Context()); err == nil || errors.Is(err, ErrNotRunning) {
			t.Errorf("%q: %v", answer, err)
		}
		c.Close()
		l.Close()
		<-done
	}
}
