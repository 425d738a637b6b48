// Package daemon is postmoat at work on a mail host: it follows the logs, runs
// the engine, keeps the firewall in step and its state on disk. It owns every
// goroutine; the core is touched by one of them only.
package daemon

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/postmoat/postmoat/pkg/allow"
	"github.com/postmoat/postmoat/pkg/engine"
	"github.com/postmoat/postmoat/pkg/firewall"
	"github.com/postmoat/postmoat/pkg/firewall/sever"
	"github.com/postmoat/postmoat/pkg/source"
)

// ErrStopped is what every call answers before Run has begun and after it has
// ended.
var ErrStopped = errors.New("the daemon is not running")

// Options are what a Daemon is made of.
type Options struct {
	Settings Settings
	Version  string
	State    string // folder of snapshot and journal; it must exist

	// Backend holds the bans; of a dry run it is the memory backend.
	Backend firewall.Backend
	DryRun  bool
	Severer *sever.Severer // nil: open connections of banned clients are not cut

	// Reload reads the configuration again. nil: there is nothing to reload.
	Reload func(context.Context) (Settings, error)
	// Notify tells the service manager how things are (sd_notify). nil: nobody.
	Notify func(Notice)

	Log *slog.Logger     // nil: nowhere
	Now func() time.Time // nil: time.Now
}

// Settings are what a configuration says, and a reload may change.
type Settings struct {
	// Engine without Allow, which the daemon collects itself.
	Engine  engine.Options
	Sources []Source
	Allow   allow.Options
	// Lines say in words what the configuration is: the difference of two is
	// logged at a reload. Those that only a restart changes are Fixed.
	Lines []string
	Fixed []string
}

// A Source is one log to follow.
type Source struct {
	// Key tells sources apart over restarts: "file:/var/log/mail.log".
	Key string
	// New makes the source; start is where it begins without a position.
	New      func(start source.Start) source.Source
	Location *time.Location // zone of stamps that name none
}

// A Notice is what the service manager is told.
type Notice uint8

// The notices.
const (
	Ready Notice = iota
	Reloading
	Stopping
	Alive
)

// A Daemon is postmoat at work.
type Daemon struct{}

// New makes a Daemon.
func New(o Options) (*Daemon, error) { panic("being written") }

// Run works until ctx ends.
func (d *Daemon) Run(ctx context.Context) error { panic("being written") }
