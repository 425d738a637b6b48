// Package control lets an operator talk to a running daemon: an HTTP API with
// JSON on a unix socket, its client, and the metrics. The paths and the JSON
// are a contract; they begin with their version, [Version]. A change that
// breaks a client gets another version, fields may be added at any time.
package control

import (
	"context"
	"net/netip"
	"time"

	"github.com/postmoat/postmoat/pkg/allow"
	"github.com/postmoat/postmoat/pkg/daemon"
)

// Version is that of the API, with which its paths begin.
const Version = "v1"

// A Daemon is what the API talks to: a *[daemon.Daemon]. Every call has to
// heed its context.
type Daemon interface {
	Status(ctx context.Context) (daemon.Status, error)
	Counters(ctx context.Context) (daemon.Counters, error)
	Bans(ctx context.Context) ([]daemon.Held, error)
	Explain(ctx context.Context, a netip.Addr) (*daemon.Explanation, error)
	Ban(ctx context.Context, r daemon.BanRequest) ([]daemon.Held, error)
	Unban(ctx context.Context, r daemon.UnbanRequest) (daemon.Unbanned, error)
	Allowlist() *allow.List
	AllowAdd(ctx context.Context, a allow.Addition, by string) error
	AllowRemove(ctx context.Context, p netip.Prefix, by string) error
	Reload(ctx context.Context, by string) ([]string, error)
	Pause(ctx context.Context, by string) error
	Resume(ctx context.Context, by string) error
	Unwritten() int
	Subscribe(ctx context.Context) <-chan daemon.Event
}

var _ Daemon = (*daemon.Daemon)(nil)

// warning is the header of an answer to a request that succeeded, but.
const warning = "Postmoat-Warning"

// Limits against clients that are broken or mean. Whoever may open the socket
// may lift all bans, so these are no defence against a determined one.
const (
	maxBody        = 64 << 10
	maxHeader      = 16 << 10
	maxConnections = 64
	maxListeners   = 16 // of events
	maxReads       = 4  // questions that the daemon is asked at a time
	maxPeers       = 16
	maxBecause     = 200 // bytes

	// defaultUnban is how long what was unbanned stays on the allowlist.
	defaultUnban = time.Hour
	// maxFor bounds every duration: ten years, as in the configuration.
	maxFor = 3650 * 24 * time.Hour
)

// patience is how long a [Server] waits for whom.
type patience struct {
	header time.Duration // for a client to send its headers
	body   time.Duration // for headers and body
	idle   time.Duration // between two requests of a connection
	call   time.Duration // for the daemon to answer
	slow   time.Duration // for the daemon to answer a ban, an unban or a reload
	write  time.Duration // for a client to take the next piece of an answer
	stop   time.Duration // for running requests at the end
}

func usualPatience() patience {
	return patience{
		header: 5 * time.Second, body: 10 * time.Second, idle: 30 * time.Second,
		call: 15 * time.Second, slow: slowTime, write: 10 * time.Second, stop: 2 * time.Second,
	}
}

// slowTime is also what a [Client] has to reckon with.
const slowTime = time.Minute
