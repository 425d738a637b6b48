package daemon

import (
	"fmt"
	"log/slog"
	"net"
	"os"
	"strings"
	"time"

	sd "github.com/coreos/go-systemd/v22/daemon"
)

// notifyTime is how long the core waits for a service manager that does not
// read what it is told: it has bans to make.
const notifyTime = 100 * time.Millisecond

// Systemd returns what tells systemd how a daemon is doing (sd_notify(3)), nil
// where no systemd wants to know. It must be called before the environment is
// cleaned; the watchdog of the unit has to be at least twice the 5 seconds
// after which the core tells that it is alive.
func Systemd(log *slog.Logger) func(Notice, string) {
	path := os.Getenv("NOTIFY_SOCKET")
	if path == "" {
		return nil
	}
	socket := &net.UnixAddr{Name: path, Net: "unixgram"}
	if err := tellManager(socket, "STATUS=starting"); err != nil {
		log.Warn("the service manager can't be told how things are", "err", err)
		return nil
	}
	return func(n Notice, status string) {
		lines := []string{"STATUS=" + strings.ReplaceAll(status, "\n", " ")}
		switch n {
		case Ready:
			lines = append(lines, sd.SdNotifyReady)
		case Reloading:
			lines = append(lines, sd.SdNotifyReloading, fmt.Sprintf("MONOTONIC_USEC=%d", monotonic()/time.Microsecond))
		case Stopping:
			lines = append(lines, sd.SdNotifyStopping)
		case Alive:
			lines = append(lines, sd.SdNotifyWatchdog)
		}
		if err := tellManager(socket, strings.Join(lines, "\n")); err != nil {
			log.Warn("the service manager can't be told how things are", "err", err)
		}
	}
}

// tellManager is sd_notify that gives up: that of go-systemd waits for as long
// as the socket's queue is full.
func tellManager(socket *net.UnixAddr, text string) error {
	c, err := net.DialUnix(socket.Net, nil, socket)
	if err != nil {
		return err
	}
	defer c.Close()
	if err := c.SetWriteDeadline(time.Now().Add(notifyTime)); err != nil {
		return err
	}
	_, err = c.Write([]byte(text))
	return err
}
