package daemon

import (
	"fmt"
	"log/slog"
	"strings"
	"time"

	sd "github.com/coreos/go-systemd/v22/daemon"
)

// Systemd returns what tells systemd how a daemon is doing (sd_notify(3)), nil
// where no systemd wants to know. It must be called before the environment is
// cleaned; the watchdog of the unit has to be at least twice the 5 seconds
// after which the core tells that it is alive.
func Systemd(log *slog.Logger) func(Notice, string) {
	if ok, err := sd.SdNotify(false, "STATUS=starting"); !ok {
		if err != nil {
			log.Warn("the service manager can't be told how things are", "err", err)
		}
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
		if _, err := sd.SdNotify(false, strings.Join(lines, "\n")); err != nil {
			log.Warn("the service manager can't be told how things are", "err", err)
		}
	}
}
