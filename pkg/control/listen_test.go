package control

import (
	"errors"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
)

func mode(t *testing.T, path string) fs.FileMode {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return info.Mode()
}

// TestListenMode: the socket is for its owner and the group, and gone at the
// end.
func TestListenMode(t *testing.T) {
	me, err := user.LookupGroupId(strconv.Itoa(os.Getgid()))
	if err != nil {
		t.Skip("this process is of a group without a name:", err)
	}
	for _, x := range []struct {
		o    SocketOptions
		want fs.FileMode
		warn bool
	}{
		{SocketOptions{}, 0o660, false},
		{SocketOptions{Mode: 0o600}, 0o600, false},
		{SocketOptions{Group: me.Name}, 0o660, false},
		{SocketOptions{Group: "no-such-group-here"}, 0o600, true},
	} {
		log := &logBuffer{}
		x.o.Path, x.o.Log = filepath.Join(t.TempDir(), "s"), slog.New(slog.NewTextHandler(log, nil))
		l, err := Listen(x.o)
		if err != nil {
			t.Fatal(err)
		}
		if m := mode(t, x.o.Path); m != fs.ModeSocket|x.want {
			t.Errorf("group %q: mode %v, want %v", x.o.Group, m, x.want)
		}
		if warned := strings.Contains(log.String(), "no-such-group-here"); warned != x.warn {
			t.Errorf("group %q: log %q", x.o.Group, log)
		}
		if err := l.Close(); err != nil {
			t.Error(err)
		}
		if _, err := os.Lstat(x.o.Path); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("the socket is still there: %v", err)
		}
	}
}

// TestListenAfterCrash: a socket that nobody listens at is replaced.
func TestListenAfterCrash(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	dead, err := net.ListenUnix("unix", &net.UnixAddr{Name: path})
	if err != nil {
		t.Fatal(err)
	}
	dead.SetUnlinkOnClose(false)
	if err := dead.Close(); err != nil {
		t.Fatal(err)
	}
	if m := mode(t, path); m.Type() != fs.ModeSocket {
		t.Fatal("no socket was left:", m)
	}
	l, err := Listen(SocketOptions{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	run(t, NewServer(Options{Daemon: newFake(t)}).Serve, l)
	alive(t, path)
}

// TestListenTwice: of two daemons the second is refused, and the first does
// not notice.
func TestListenTwice(t *testing.T) {
	path, _, stop := serving(t, newFake(t))
	_, err := Listen(SocketOptions{Path: path})
	if err == nil || !strings.Contains(err.Error(), "another daemon") || Hint(err) == "" {
		t.Errorf("%v", err)
	}
	alive(t, path)
	stop()

	// Somebody who knows of no lock.
	foreign, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer foreign.Close()
	if _, err := Listen(SocketOptions{Path: path}); err == nil || !strings.Contains(err.Error(), "another daemon") {
		t.Errorf("%v", err)
	}
}

// TestListenRace: of many that start at once after a crash, one gets it.
func TestListenRace(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	dead, err := net.ListenUnix("unix", &net.UnixAddr{Name: path})
	if err != nil {
		t.Fatal(err)
	}
	dead.SetUnlinkOnClose(false)
	dead.Close()
	var all sync.WaitGroup
	got := make(chan net.Listener, 20)
	for range 20 {
		all.Go(func() {
			if l, err := Listen(SocketOptions{Path: path}); err == nil {
				got <- l
			}
		})
	}
	all.Wait()
	close(got)
	if len(got) != 1 {
		t.Fatalf("%d of 20 got it", len(got))
	}
	run(t, NewServer(Options{Daemon: newFake(t)}).Serve, <-got)
	alive(t, path)
}

// TestListenWrong: what an operator can get wrong.
func TestListenWrong(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "mail.log")
	if err := os.WriteFile(file, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		filepath.Join(dir, "none", "s"): "does not exist",
		file:                            "no socket",
		filepath.Join(dir, strings.Repeat("s", 150)): "control socket",
	} {
		_, err := Listen(SocketOptions{Path: path})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", path, err, want)
		}
	}
	if text, err := os.ReadFile(file); err != nil || string(text) != "precious" {
		t.Errorf("the file was touched: %q %v", text, err)
	}
}
