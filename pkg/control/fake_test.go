package control

import (
	"bytes"
	"context"
	"log/slog"
	"net"
	"net/netip"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/postmoat/postmoat/pkg/allow"
	"github.com/postmoat/postmoat/pkg/ban"
	"github.com/postmoat/postmoat/pkg/daemon"
	"github.com/postmoat/postmoat/pkg/maillog"
	"github.com/postmoat/postmoat/pkg/score"
)

// fakeDaemon remembers what it was asked, and answers what it was told to.
type fakeDaemon struct {
	mu       sync.Mutex
	status   daemon.Status
	counters daemon.Counters
	held     []daemon.Held
	explain  *daemon.Explanation
	allowed  *allow.List
	err      error         // of every call
	hang     chan struct{} // calls wait for it, or for their context
	calls    int
	waits    int           // records that wait for the disk
	waiting  chan struct{} // told of each call that waits

	bans   []daemon.BanRequest
	unbans []daemon.UnbanRequest
	added  []allow.Addition
	by     []string
	opened chan chan daemon.Event // told of each stream
}

// call is the begin of every call.
func (f *fakeDaemon) call(ctx context.Context, by string) error {
	f.mu.Lock()
	f.calls++
	if by != "" {
		f.by = append(f.by, by)
	}
	hang, err := f.hang, f.err
	f.mu.Unlock()
	if hang != nil {
		if f.waiting != nil {
			f.waiting <- struct{}{}
		}
		select {
		case <-hang:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return err
}

func (f *fakeDaemon) Status(ctx context.Context) (daemon.Status, error) {
	return f.status, f.call(ctx, "")
}

func (f *fakeDaemon) Counters(ctx context.Context) (daemon.Counters, error) {
	return f.counters, f.call(ctx, "")
}

func (f *fakeDaemon) Bans(ctx context.Context) ([]daemon.Held, error) {
	return f.held, f.call(ctx, "")
}

func (f *fakeDaemon) Explain(ctx context.Context, _ netip.Addr) (*daemon.Explanation, error) {
	return f.explain, f.call(ctx, "")
}

func (f *fakeDaemon) Ban(ctx context.Context, r daemon.BanRequest) ([]daemon.Held, error) {
	if err := f.call(ctx, r.By); err != nil {
		return nil, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.bans = append(f.bans, r)
	b := ban.Ban{Prefix: r.Prefix, From: start, Until: ban.Forever, Pinned: true, Because: r.Because}
	if r.For > 0 {
		b.Until = time.Now().Add(r.For).Unix()
	}
	return []daemon.Held{{Ban: b, State: "in force"}}, nil
}

func (f *fakeDaemon) Unban(ctx context.Context, r daemon.UnbanRequest) (daemon.Unbanned, error) {
	if err := f.call(ctx, r.By); err != nil {
		return daemon.Unbanned{}, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.unbans = append(f.unbans, r)
	return daemon.Unbanned{Lifted: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}}, nil
}

func (f *fakeDaemon) Unwritten() int { return f.waits }

func (f *fakeDaemon) Allowlist() *allow.List { return f.allowed }

func (f *fakeDaemon) AllowAdd(ctx context.Context, a allow.Addition, by string) error {
	if err := f.call(ctx, by); err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.added = append(f.added, a)
	return nil
}

func (f *fakeDaemon) AllowRemove(ctx context.Context, _ netip.Prefix, by string) error {
	return f.call(ctx, by)
}

func (f *fakeDaemon) Reload(ctx context.Context, by string) ([]string, error) {
	return []string{"+ budget: 100"}, f.call(ctx, by)
}

func (f *fakeDaemon) Pause(ctx context.Context, by string) error { return f.call(ctx, by) }

func (f *fakeDaemon) Resume(ctx context.Context, by string) error { return f.call(ctx, by) }

func (f *fakeDaemon) Subscribe(ctx context.Context) <-chan daemon.Event {
	c := make(chan daemon.Event, 4)
	out := make(chan daemon.Event)
	go func() {
		defer close(out)
		for {
			select {
			case e := <-c:
				select {
				case out <- e:
				case <-ctx.Done():
					return
				}
			case <-ctx.Done():
				return
			}
		}
	}()
	if f.opened != nil {
		f.opened <- c
	}
	return out
}

const start = 1_800_000_000

// newFake is a daemon with a bit of everything.
func newFake(t *testing.T) *fakeDaemon {
	t.Helper()
	at := time.Unix(start, 0).UTC()
	c := allow.New(allow.Options{
		Networks: []allow.Network{{Prefix: netip.MustParsePrefix("198.51.100.0/24"), Origin: "postmoat.yaml:3"}},
		NoDNS:    true,
	})
	list, err := c.Collect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	held := func(p string, door maillog.Door, from, until int64, knocks uint64, members int) daemon.Held {
		b := ban.Ban{Prefix: netip.MustParsePrefix(p), Door: door, From: from, Until: until, Knocks: knocks}
		for i := range members {
			b.Members = append(b.Members, ban.Member{
				Key:   netip.PrefixFrom(netip.AddrFrom4([4]byte{192, 0, 2, byte(i)}), 32),
				Cause: ban.Cause{Window: "burst", Rules: []score.RuleCount{{Rule: "sasl", Count: 2}}},
			})
		}
		return daemon.Held{Ban: b, State: "in force"}
	}
	manual := held("2001:db8::/32", maillog.SMTP, start+7, ban.Forever, 3, 0)
	manual.Pinned, manual.Because, manual.State = true, "abuse desk", "waiting"
	one := held("192.0.2.0/24", maillog.SMTP, start+5, time.Now().Unix()+3600, 9, 3)
	st := daemon.Status{
		Version: "1.2.3", Started: at, Clock: at, Phase: "running", Healthy: true,
		Sources: []daemon.SourceStatus{
			{Name: "/var/log/mail.log", State: "following", Lag: 12, LastLine: &at, Since: at.Add(-time.Hour), Lines: 5},
			{Name: "journal", State: "following", Lag: -1, Since: at.Add(-2 * time.Hour)},
		},
		NotUnderstood: 0.25, Clients: 7, KnownGood: 2,
		Firewall:  daemon.FirewallStatus{Backend: "nftables", Entries: 3, InStep: true, Repairs: 1, Errors: 2, Cut: 4},
		Allowlist: daemon.AllowStatus{Entries: 20},
		Breaker:   daemon.BreakerStatus{Tripped: true, Trips: 1},
		Snapshot:  daemon.SnapshotStatus{At: &at, Bytes: 1000},
		Alarms:    []daemon.Alarm{{Kind: "quiet", Text: "no line for 3 h", Since: at}, {Kind: "quiet", Text: "journal too", Since: at}},
	}
	return &fakeDaemon{
		status: st, allowed: list,
		held: []daemon.Held{manual, one, held("203.0.113.7/32", maillog.Login, start+6, time.Now().Unix()+60, 1, 1)},
		counters: daemon.Counters{
			Status: st,
			Lines:  []daemon.Count{{Label: "/var/log/mail.log", N: 5}}, Events: []daemon.Count{{Label: "smtpd.reject", N: 4}},
			Offences: []daemon.Count{{Label: "sasl", N: 3}},
			Bans:     []daemon.BanCount{{Bits: 24, N: 1}, {Bits: 48, IPv6: true, Door: maillog.Login, N: 2}},
			Started:  []daemon.BanCount{{Bits: 24, Label: "solved", N: 6}},
			Ended:    []daemon.Count{{Label: "expired", N: 5}}, NotUnderstood: 11, AllowHits: 12,
			PreventedLines: 13, PreventedPackets: 14, Evicted: 15, SnapshotErrors: 16,
			Reaction: daemon.Histogram{Bounds: []float64{0.001, 0.01}, Buckets: []uint64{1, 3}, Sum: 0.5, Count: 4},
		},
		explain: &daemon.Explanation{
			Addr: netip.MustParseAddr("192.0.2.9"), Now: at, Bans: []daemon.Held{one},
			Allowed: list.Lookup(netip.MustParseAddr("198.51.100.7")), KnownGood: at, Messages: 2.5,
			Standing: []daemon.DoorStanding{{Door: maillog.Login, Window: "burst", Span: 10 * time.Minute, Standing: score.Standing{
				Key: netip.MustParsePrefix("192.0.2.9/32"), Units: 10, Limit: 40, Count: 3,
				Events: []score.Evidence{{Time: start, Client: netip.MustParsePrefix("192.0.2.9/32"), Rules: []string{"sasl"}, Units: 4, Count: 1}},
			}}},
			Past: []ban.Spell{{Ban: ban.Ban{Prefix: netip.MustParsePrefix("192.0.2.9/32"), From: start - 100, Until: start}, End: ban.Expired, Ended: start}},
		},
	}
}

// A logBuffer is a log that a test can read.
type logBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// serving runs a server for a daemon, until the test ends or stop is called.
func serving(t *testing.T, d Daemon) (path string, log *logBuffer, stop func()) {
	t.Helper()
	log = &logBuffer{}
	path, stop = at(t, NewServer(Options{Daemon: d, Log: slog.New(slog.NewTextHandler(log, nil))}))
	return path, log, stop
}

// at runs a server at a socket.
func at(t *testing.T, s *Server) (path string, stop func()) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "s")
	l, err := Listen(SocketOptions{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	return path, run(t, s.Serve, l)
}

func run(t *testing.T, serve func(context.Context, net.Listener) error, l net.Listener) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- serve(ctx, l) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("serve: %v", err)
		}
	})
	t.Cleanup(stop)
	return stop
}
