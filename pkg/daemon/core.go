package daemon

import (
	"context"
	"errors"
	"time"

	"github.com/postmoat/postmoat/pkg/allow"
	"github.com/postmoat/postmoat/pkg/ban"
	"github.com/postmoat/postmoat/pkg/engine"
	"github.com/postmoat/postmoat/pkg/firewall"
	"github.com/postmoat/postmoat/pkg/health"
	"github.com/postmoat/postmoat/pkg/maillog"
	"github.com/postmoat/postmoat/pkg/source"
)

const (
	// settle is how long after its time a line may be written and still come
	// before the tick of that second: live and replay then agree.
	settle = 2
	// maxPast is how many ended bans are remembered for explanations.
	maxPast = 1000
	// aliveEvery is how often the service manager hears of the core.
	aliveEvery = 5 * time.Second
)

// A core is the engine and what belongs to it. Only the goroutine of loop
// touches it.
type core struct {
	d      *Daemon
	engine *engine.Engine
	feeds  []*feed
	known  []sourceState // sources of the snapshot
	since  int64         // lines before this only teach good senders
	list   *allow.List
	listOf *allow.Collector
	paused string // by whom; "": not

	replay  []record         // of the journal, to be done at their place among the lines
	allowed []allow.Addition // of records that are not yet all read
	orphans []ban.Entry      // the firewall held them and nothing is known of them
	past    []ban.Spell
	told    map[firewall.Key]int64 // since when the bans are that have been told of
	phase   string

	count      counters
	understood health.Understood
	crowd      health.Crowd
	lineRate   health.Rate
	badRate    health.Rate
	alarms     map[alarmKey]Alarm
	saved      SnapshotStatus
	saving     chan struct{} // closed when the snapshot is on disk; nil: none is under way
	nextSave   time.Time
	alive      time.Time
	fired      []time.Time // when the lines were read that made offenders
}

// loop works until the inbox is closed and empty.
func (c *core) loop(ctx context.Context) {
	second := time.NewTicker(time.Second)
	defer second.Stop()
	soon := time.NewTicker(20 * time.Millisecond) // while catching up
	defer soon.Stop()
	for {
		select {
		case <-ctx.Done():
			c.d.in.close()
			c.work(ctx)
			return
		case <-c.d.in.wake:
			c.work(ctx)
		case <-soon.C:
			c.work(ctx)
			if c.ready() {
				soon.Stop()
			}
		case <-second.C:
			c.work(ctx)
			c.tick(ctx)
		}
	}
}

// work does what has come: lines, then calls, then the firewall.
func (c *core) work(ctx context.Context) {
	b := c.d.in.take()
	if len(b.lines) == 0 && len(b.calls) == 0 {
		return
	}
	c.engine.Live(c.d.o.Now().Unix())
	for i := range b.lines {
		l := &b.lines[i]
		c.feed(l, b.text[l.from:l.to])
	}
	c.flush(ctx)
	for _, call := range b.calls {
		call.carryOut()
	}
}

// feed gives one line to the engine.
func (c *core) feed(l *line, text []byte) {
	f := l.feed
	if f.gone {
		return
	}
	for len(c.replay) > 0 && c.replay[0].before(f.number, l.seq) {
		c.redo(c.replay[0])
		c.replay = c.replay[1:]
	}
	out := c.engine.Feed(f.number, l.seq, text)
	f.seq = l.seq
	f.lines++
	c.count.lines++
	at := l.read.Unix()
	c.lineRate.Add(at, 1)
	if !l.old {
		f.quiet.Line(at)
	}
	ev := out.Event
	if ev.Kind == maillog.KindNoTime {
		f.undated++
		return
	}
	f.dated++
	switch ev.Kind {
	case maillog.KindNone:
		return
	case maillog.KindUnknown:
		c.understood.Add(0, 1)
		c.count.notUnderstood++
		return
	}
	c.understood.Add(1, 0)
	if !l.old {
		f.skew.Line(ev.Time, at)
	}
	c.count.outcome(out)
	switch ev.Kind {
	case maillog.SMTPDConnect, maillog.PostscreenConnect:
		if ev.Client.IsValid() {
			c.crowd.Add(ev.Client)
		}
	}
	switch out.Verdict {
	case engine.Scored, engine.Prevented:
		if out.Offences > 0 {
			c.badRate.Add(at, uint64(out.Offences))
		}
	}
	if out.Fired && !l.old {
		c.fired = append(c.fired, l.read)
	}
}

// ready goes on to the next phase once all sources have caught up, and says
// whether it has.
func (c *core) ready() bool {
	if c.phase == running {
		return true
	}
	for _, f := range c.feeds {
		if !f.caughtUp() {
			return false
		}
	}
	if !c.d.in.empty() {
		return false
	}
	for _, r := range c.replay {
		c.redo(r)
	}
	c.replay = nil
	c.phase = running
	if len(c.orphans) > 0 {
		c.engine.Start(c.d.o.Now().Unix())
		c.adopt()
	}
	// Who asks now, after a start or a restart, is to hear of what is wrong too.
	c.watch(c.d.o.Now())
	c.d.log.Info("caught up with the logs", "bans", c.engine.Len(), "lines", c.count.lines)
	c.d.notify(CaughtUp, c.summary())
	return true
}

// tick does what is due each second.
func (c *core) tick(ctx context.Context) {
	now := c.d.o.Now()
	for _, f := range c.feeds {
		f.pace.tick(f.seq, f.status())
	}
	if c.ready() {
		if to, ok := c.level(now); ok {
			c.engine.Live(now.Unix())
			c.engine.Start(to.Unix() - settle)
			c.engine.Tick(to.Unix() - settle)
			c.flush(ctx)
		}
	}
	c.correct(now)
	c.watch(now)
	c.save(now)
	if now.Sub(c.alive) >= aliveEvery || now.Before(c.alive) {
		c.alive = now
		c.d.notify(Alive, c.summary())
	}
}

// level says up to when all lines that were written, and can be read, have been
// fed: so far the clock may go on without them. Where a source says when it last
// looked, it is that: a process that was stopped for a while, or has to wait for
// the processor, must not pass over what was written meanwhile. One that hangs is
// waited for no longer: bans have to end.
func (c *core) level(now time.Time) (time.Time, bool) {
	for _, f := range c.feeds {
		switch st := f.status(); {
		case st.State != source.Following && st.State != source.CatchingUp || f.pace.hangs():
		case !st.Looked.IsZero() && st.Looked.Before(now):
			now = st.Looked
		case st.Looked.IsZero() && st.Lag >= 0:
			return now, false
		}
	}
	return now, c.d.in.empty()
}

// flush brings the firewall in step with the engine, and tells.
func (c *core) flush(ctx context.Context) error {
	change := c.engine.Flush()
	var err error
	if !change.Empty() {
		// At a stop the last change is made all the same.
		err = c.d.keeper.Apply(context.WithoutCancel(ctx), change)
		if err != nil && !errors.Is(err, firewall.ErrPending) {
			c.d.log.Error("firewall refused a change", "err", err)
		}
	}
	c.tell(change)
	if len(c.fired) > 0 {
		now := c.d.o.Now()
		if err == nil && !change.Empty() {
			for _, t := range c.fired {
				c.count.reaction.add(now.Sub(t).Seconds())
			}
		}
		c.fired = c.fired[:0]
	}
	return err
}

// correct takes a source's stamps for what they are when they stand off by
// multiples of a quarter of an hour, as those of another zone do. Stamps that name
// their zone can't be corrected: they come off by the same again.
func (c *core) correct(now time.Time) {
	for _, f := range c.feeds {
		off, ok := f.skew.Offset()
		if !ok || off == 0 || f.stubborn {
			continue
		}
		f.skew = health.Skew{}
		if f.shift == off {
			f.shift, f.stubborn = 0, true
			c.d.log.Warn("stamps of a source are off, and name their zone: they can't be corrected", "source", f.Key, "seconds", off)
		} else {
			f.shift += off
			c.d.log.Warn("stamps of a source are off by a time zone, they are corrected", "source", f.Key, "seconds", f.shift)
		}
		c.declare(f, now)
	}
}
