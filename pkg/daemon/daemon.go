// Package daemon is postmoat at work on a mail host: it follows the logs, runs
// the engine, keeps the firewall in step and its state on disk. It owns every
// goroutine; the core is touched by one of them only.
package daemon

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"sync"
	"time"

	"github.com/postmoat/postmoat/pkg/allow"
	"github.com/postmoat/postmoat/pkg/ban"
	"github.com/postmoat/postmoat/pkg/engine"
	"github.com/postmoat/postmoat/pkg/firewall"
	"github.com/postmoat/postmoat/pkg/firewall/sever"
	"github.com/postmoat/postmoat/pkg/ledger"
	"github.com/postmoat/postmoat/pkg/source"
)

// ErrStopped is what every call answers after Run has ended. Before it has begun
// they wait.
var ErrStopped = errors.New("the daemon is not running")

// Options are what a Daemon is made of.
type Options struct {
	Settings Settings
	Version  string
	State    string // folder of snapshot and journal; it must exist

	// Backend holds the bans; of a dry run it is the memory backend. Run
	// closes it.
	Backend firewall.Backend
	DryRun  bool
	Severer *sever.Severer // nil: open connections of banned clients are not cut

	// Reload reads the configuration again. nil: there is nothing to reload.
	Reload func(context.Context) (Settings, error)
	// Notify tells the service manager how things are, in a word and a
	// sentence. nil: nobody.
	Notify func(Notice, string)

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
	Ready     Notice = iota // the firewall holds the bans, the logs are being read
	CaughtUp                // what had been written before the start has been read
	Reloading               // Ready follows
	Stopping
	Alive // told every few seconds
)

// The phases of a daemon.
const (
	starting = "starting"
	catching = "catching up"
	running  = "running"
	stopping = "stopping"
)

// settleTime is how long the last changes to the firewall may take at a stop.
const settleTime = 5 * time.Second

// A Daemon is postmoat at work.
type Daemon struct {
	o        Options
	log      *slog.Logger
	started  time.Time
	settings Settings // the core's
	in       *inbox
	core     *core
	keeper   *firewall.Keeper
	ledger   *ledger.Ledger
	cuts     cutter
	crier    crier
	lost     []string // what was wrong with the state on disk
	running  sync.WaitGroup
	sources  context.Context // of the sources; ends first

	reloading sync.Mutex // one at a time
	lookAgain chan struct{}

	mu       sync.Mutex
	collects *allow.Collector
}

// New makes a Daemon. It touches nothing before Run.
func New(o Options) (*Daemon, error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Backend == nil {
		return nil, errors.New("daemon: no firewall")
	}
	seen := make(map[string]bool)
	for _, s := range o.Settings.Sources {
		if seen[s.Key] {
			return nil, fmt.Errorf("daemon: source %s is there twice", s.Key)
		}
		seen[s.Key] = true
	}
	d := &Daemon{
		o: o, log: o.Log, started: o.Now(), settings: o.Settings, in: newInbox(),
		cuts: cutter{wake: make(chan struct{}, 1)}, lookAgain: make(chan struct{}, 1),
	}
	d.keeper = firewall.NewKeeper(o.Backend, firewall.KeeperOptions{Log: o.Log, Now: o.Now, Made: d.cuts.made})
	d.core = &core{
		d: d, phase: starting, count: newCounters(), feeds: newFeeds(o.Settings.Sources, d.started),
		alarms: make(map[alarmKey]Alarm),
	}
	return d, nil
}

// Run works until ctx ends, then writes the state and lets go of the firewall:
// the bans stay there, each until its end. An error is one that keeps it from
// starting; what goes wrong later is an alarm. Run is called once.
func (d *Daemon) Run(ctx context.Context) error {
	defer d.in.abandon()
	defer d.crier.close()
	l, err := ledger.Open(d.o.State, ledger.Options{Now: d.o.Now, Log: d.log})
	if err != nil {
		return errors.Join(err, d.o.Backend.Close())
	}
	d.ledger = l
	err = d.work(ctx)
	return errors.Join(err, l.Close(), d.o.Backend.Close())
}

func (d *Daemon) work(ctx context.Context) error {
	var cancel context.CancelFunc
	d.sources, cancel = context.WithCancel(ctx)
	defer cancel()
	// What serves the core outlives the sources: it ends when the core has.
	serve, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer d.running.Wait()
	defer stop()

	c := d.core
	first, err := c.restore(ctx)
	switch {
	case ctx.Err() != nil:
		return nil // stopped before it had begun: what is on disk stays as it is
	case err != nil:
		return err
	}
	c.engine.Flush() // Want says it all
	c.toldAll()
	want := c.engine.Entries()
	if first {
		c.orphans = c.holds(ctx)
		want = append(want, c.orphans...)
	}
	if err := d.keeper.Want(ctx, c.list.Prefixes(), want); err != nil && ctx.Err() == nil {
		d.log.Error("the firewall can't be set up, will be tried again", "backend", d.o.Backend.Name(), "err", err, "hint", firewall.Hint(err))
	}
	d.running.Go(func() { d.keeper.Run(serve) })
	d.running.Go(func() { d.cutOff(serve) })
	d.running.Go(func() { d.lookAround(serve) })
	if !d.o.DryRun {
		d.running.Go(func() { d.readCounters(serve) })
	}
	for _, f := range c.feeds {
		if first {
			f.begins = source.FromHistory
		}
		f.open()
		d.start(d.sources, f)
	}
	c.phase = catching
	d.notify(Ready, c.summary())
	c.loop(ctx)

	c.phase = stopping
	d.notify(Stopping, c.phase)
	cancel()
	for _, f := range c.feeds {
		<-f.ended
	}
	c.lastSave(d.o.Now())
	settle, done := context.WithTimeout(serve, settleTime)
	defer done()
	if err := d.keeper.Settle(settle); err != nil {
		d.log.Error("the firewall did not take the last changes; it gets them at the next start", "err", err)
	}
	if d.o.DryRun {
		d.log.Info("stopped", "bans", c.engine.Len(), "dry_run", true)
	} else {
		d.log.Info("stopped; bans stay in force until their end", "bans", c.engine.Len())
	}
	return nil
}

// restore brings back what was known at the last stop. first says that there
// was nothing.
func (c *core) restore(ctx context.Context) (first bool, err error) {
	d := c.d
	c.since = math.MinInt64
	rec, err := d.ledger.Recover(
		func(r io.Reader) error { return c.load(ctx, r) },
		func(text []byte) error { return c.read(ctx, text) })
	if err := cmp.Or(ctx.Err(), err); err != nil {
		return false, err
	}
	d.lost = rec.Problems
	for _, p := range rec.Problems {
		d.log.Error("state is damaged", "problem", p)
	}
	if rec.Torn > 0 {
		d.log.Warn("the last record of the journal was not whole, as after a power cut", "journals", rec.Torn)
	}
	if rec.Snapshot != "" {
		d.log.Info("state restored", "snapshot", rec.Snapshot, "of", rec.At.UTC().Format(time.RFC3339), "bans", c.engine.Len(), "records", rec.Records)
		return false, nil
	}
	// Nobody is banned for what stands in the logs already; good senders are
	// learnt from it.
	c.since = d.o.Now().Unix()
	c.paused, c.known = "", nil
	kept := allow.State{}
	if k := d.collector(); k != nil {
		kept = k.State().Kept() // of the journal
	}
	d.log.Info("no state yet: good senders are learnt from the logs that are there", "folder", d.o.State)
	return true, c.begin(ctx, kept)
}

// holds are the bans that the firewall has when nothing is known of them: of a
// daemon whose state was lost, or of a replay. They end before the firewall would
// have ended them, see heldUntil.
func (c *core) holds(ctx context.Context) []ban.Entry {
	held, err := c.d.o.Backend.Active(ctx)
	if err != nil && !errors.Is(err, firewall.ErrGone) {
		c.d.log.Error("the firewall can't say which bans it holds already: they are not taken over", "err", err)
	}
	now := c.d.o.Now().Unix()
	var out []ban.Entry
	for _, a := range held {
		if a.Deadline > now {
			out = append(out, a.Entry)
		}
	}
	return out
}

// heldUntil is the end of a ban of which only its deadline in the firewall is
// known. A firewall is told one to two eighths of the term more than that (see
// ban.Book): a fifth of what is left is taken off, so that the deadline that goes
// with the new end is no later than the one there was, however often state is lost.
func heldUntil(deadline, now int64) int64 {
	if deadline == math.MaxInt64 {
		return deadline
	}
	const leastMargin = 120 // two of the shortest steps
	left := deadline - now
	return now + max(left-max(left/5+1, leastMargin), 1)
}

// adopt takes over bans that the firewall held, once the clock has come as far.
func (c *core) adopt() {
	taken := 0
	now := c.d.o.Now().Unix()
	var left []ban.Entry
	for _, e := range c.orphans {
		if c.engine.Adopt(e, heldUntil(e.Deadline, now), "read back from the firewall, its reasons are lost") {
			taken++
		}
		if c.engine.Running(e.Prefix, e.Door) == nil {
			left = append(left, e)
		}
	}
	if len(left) > 0 {
		// The allowlist holds it, or a part of it, or a wider ban does.
		err := c.d.keeper.Apply(context.Background(), ban.Change{Remove: left})
		if err != nil && !errors.Is(err, firewall.ErrPending) {
			c.d.log.Error("firewall refused a change", "err", err)
		}
	}
	if len(c.orphans) > 0 {
		c.d.log.Warn("bans were taken over from the firewall", "bans", taken, "of", len(c.orphans))
	}
	c.orphans = nil
}

func (d *Daemon) notify(n Notice, text string) {
	if d.o.Notify != nil {
		d.o.Notify(n, text)
	}
}

// summary is the core in a line, for the service manager.
func (c *core) summary() string {
	return fmt.Sprintf("%s, %d bans, %.0f lines a second, %d alarms", c.phase, c.engine.Len(), c.lineRate.PerSecond(c.d.o.Now().Unix()), len(c.alarms))
}
