package daemon

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"time"

	"github.com/postmoat/postmoat/pkg/allow"
	"github.com/postmoat/postmoat/pkg/engine"
	"github.com/postmoat/postmoat/pkg/ledger"
	"github.com/postmoat/postmoat/pkg/source"
)

// saveEvery is how often the state is written.
const saveEvery = time.Minute

// save starts a snapshot when one is due. The state is encoded here, between
// two lines; what waits for the disk goes on in a goroutine.
func (c *core) save(now time.Time) {
	if c.saving != nil || c.owes() || now.Before(c.nextSave) && now.After(c.nextSave.Add(-2*saveEvery)) {
		return
	}
	s, size, err := c.encode()
	if err != nil {
		c.notSaved(now, err)
		return
	}
	c.nextSave = now.Add(saveEvery)
	done := make(chan struct{})
	c.saving = done
	c.d.running.Go(func() {
		defer close(done)
		err := s.Commit()
		c.d.in.later(func() {
			c.saving = nil
			c.savedAs(now, size, err)
		})
	})
}

// owes says whether what was found at the start is not yet part of the state:
// records that wait for their place among the lines, bans that the firewall
// held. A snapshot would lose them; without one they are found again.
func (c *core) owes() bool { return len(c.replay) > 0 || len(c.orphans) > 0 }

// lastSave writes the state at the end.
func (c *core) lastSave(now time.Time) {
	if c.saving != nil {
		<-c.saving
	}
	if c.owes() {
		c.d.log.Info("stopped before all was read: the next start begins where this one did")
		return
	}
	s, size, err := c.encode()
	if err == nil {
		err = s.Commit()
	}
	c.savedAs(now, size, err)
}

// encode writes the state into a snapshot that is not yet committed.
func (c *core) encode() (*ledger.Snapshot, int64, error) {
	s, err := c.d.ledger.Begin()
	if err != nil {
		return nil, 0, err
	}
	w := &counted{w: s}
	if err := errors.Join(c.meta().encode(w), c.engine.Encode(w)); err != nil {
		s.Abort()
		return nil, 0, err
	}
	return s, w.n, nil
}

func (c *core) savedAs(now time.Time, size int64, err error) {
	if err != nil {
		c.notSaved(now, err)
		return
	}
	if c.saved.Error != "" {
		c.d.log.Info("state is written again")
	}
	c.saved = SnapshotStatus{At: &now, Bytes: size}
}

// notSaved notes that the disk did not take the state. It is tried again soon;
// until then the daemon goes on in memory.
func (c *core) notSaved(now time.Time, err error) {
	c.count.snapshotErrors++
	if c.saved.Error == "" {
		c.d.log.Error("state can't be written, will be tried again; bans and scores go on in memory", "folder", c.d.o.State, "err", err)
	}
	c.saved.Error = err.Error()
	c.nextSave = now.Add(saveEvery / 4)
}

type counted struct {
	w io.Writer
	n int64
}

func (c *counted) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	c.n += int64(n)
	return n, err
}

func (c *core) meta() *meta {
	m := &meta{Since: c.since, Paused: c.paused, Allow: c.d.collector().State()}
	live := make(map[string]bool)
	for _, f := range c.feeds {
		live[f.Key] = true
		m.Sources = append(m.Sources, sourceState{Key: f.Key, Number: f.number, Place: f.position(), Begins: f.begins, Shift: f.shift})
	}
	for _, s := range c.known {
		if !live[s.Key] {
			m.Sources = append(m.Sources, s)
		}
	}
	return m
}

// load restores a snapshot into a new engine. The allowlist is collected on the
// way: the bans are carved around it as they come in.
func (c *core) load(ctx context.Context, r io.Reader) error {
	if ctx.Err() != nil {
		return nil // the snapshot is not to blame, and must not be moved aside
	}
	br := bufio.NewReaderSize(r, 64<<10)
	m, err := decodeMeta(br)
	if err != nil {
		return fmt.Errorf("decode state: %w", err)
	}
	numbers := make(map[uint32]bool)
	for _, s := range m.Sources {
		if numbers[s.Number] {
			return fmt.Errorf("decode state: two sources of number %d", s.Number)
		}
		numbers[s.Number] = true
	}
	c.known, c.since, c.paused = m.Sources, m.Since, m.Paused
	if err := c.begin(ctx, m.Allow.Kept()); ctx.Err() != nil {
		return nil
	} else if err != nil {
		return err
	}
	return c.engine.Restore(br)
}

// begin makes a new engine, with its allowlist and its sources.
func (c *core) begin(ctx context.Context, kept allow.State) error {
	if err := c.d.collect(ctx, kept); err != nil {
		return err
	}
	o := c.d.settings.Engine
	c.list = c.d.collector().List()
	o.Allow = c.list.Set()
	c.engine = engine.New(o)
	c.engine.Span(c.since, math.MaxInt64)
	c.hold()
	c.spare()
	for _, f := range c.feeds {
		c.known = f.take(c.known)
		c.declare(f, c.d.o.Now())
	}
	return nil
}

// hold tells the engine what it may not ban.
func (c *core) hold() {
	c.engine.Hold(c.paused != "" || c.list.BanNothing(), c.list.NoWidening())
}

// take gives a feed the number and the place that its source had before, or a
// number that no other has. It returns all that are known then.
func (f *feed) take(known []sourceState) []sourceState {
	next := uint32(0)
	for _, s := range known {
		if s.Key == f.Key {
			f.number, f.begins, f.place, f.next, f.seq, f.shift = s.Number, s.Begins, s.Place, s.Place, s.Place.Seq, s.Shift
			return known
		}
		next = max(next, s.Number+1)
	}
	f.number = next
	f.begins, f.place, f.next, f.seq, f.shift = source.FromEnd, source.Position{}, source.Position{}, 0, 0
	return append(known, sourceState{Key: f.Key, Number: next})
}
