package daemon_test

import (
	"bytes"
	"log/slog"
	"net"
	"path/filepath"
	"strings"
	"testing"

	"github.com/postmoat/postmoat/pkg/daemon"
)

// TestManagerThatDoesNotRead holds that a service manager that hangs does not
// hold up the core: once its socket is full notices are given up.
func TestManagerThatDoesNotRead(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	manager, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer manager.Close()
	t.Setenv("NOTIFY_SOCKET", path)
	var log bytes.Buffer
	notify := daemon.Systemd(slog.New(slog.NewTextHandler(&log, nil)))
	if notify == nil {
		t.Fatal("there is a manager, and it is not told anything")
	}
	// The kernel's queue is net.unix.max_dgram_qlen, 10 by default.
	for range 10_000 {
		if notify(daemon.Alive, "running"); log.Len() > 0 {
			break
		}
	}
	if !strings.Contains(log.String(), "timeout") {
		t.Fatalf("the queue never was full: %q", &log)
	}
	// What was taken arrives, and when it is read again all is as before.
	message := make([]byte, 4096)
	n, err := manager.Read(message)
	if err != nil || string(message[:n]) != "STATUS=starting" {
		t.Errorf("first %q, %v", message[:n], err)
	}
	log.Reset()
	if notify(daemon.Ready, "running"); log.Len() > 0 {
		t.Errorf("with room again: %s", &log)
	}
}
