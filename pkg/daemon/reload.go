package daemon

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/postmoat/postmoat/pkg/engine"
	"github.com/postmoat/postmoat/pkg/source"
)

// Reload reads the configuration again and puts it in force; a broken one
// changes nothing and is the error. What changed comes back in words, lines
// that begin with + or -; and what needs a restart, with !.
func (d *Daemon) Reload(ctx context.Context, by string) ([]string, error) {
	if d.o.Reload == nil {
		return nil, &Refusal{What: "reload: there is no configuration to read again"}
	}
	d.reloading.Lock()
	defer d.reloading.Unlock()
	d.notify(Reloading, "reading the configuration again")
	defer d.notify(Ready, "running")
	fresh, err := d.o.Reload(ctx)
	if err != nil {
		d.log.Error("reload: the new configuration is broken, the old one stays in force", "err", err, "by", by)
		return nil, fmt.Errorf("the configuration is broken, the old one stays in force: %w", err)
	}
	// The new allowlist is collected before anything changes: that may take
	// as long as the DNS does.
	k, err := collected(ctx, fresh.Allow, d.collector().State())
	if err != nil {
		return nil, err
	}
	var changed []string
	doErr := d.in.do(ctx, func() {
		c := d.core
		if c.phase != running {
			err = &Refusal{What: "reload: still " + c.phase, Hint: "try again in a moment"}
			return
		}
		// Additions that were made meanwhile.
		if err = readdress(k, d.collector().State().Additions, d.o.Now()); err != nil {
			return
		}
		if err = c.renew(fresh); err != nil {
			return
		}
		d.setCollector(k)
		changed = differences(d.settings, fresh)
		d.settings = fresh
		c.allow(k.List())
	})
	if err = errors.Join(doErr, err); err != nil {
		d.log.Error("reload: the old configuration stays in force", "err", err, "by", by)
		return nil, err
	}
	select {
	case d.lookAgain <- struct{}{}:
	default:
	}
	d.log.Info("configuration reloaded", "by", by, "changes", changed)
	d.tell(Event{Time: d.o.Now().UTC(), Type: "reload", Text: fmt.Sprintf("%d changes by %s", len(changed), by)})
	return changed, nil
}

// renew makes an engine of the new settings that knows what the old one does,
// and starts and stops sources.
func (c *core) renew(s Settings) error {
	var state bytes.Buffer
	if err := c.engine.Encode(&state); err != nil {
		return fmt.Errorf("reload: %w", err)
	}
	o := s.Engine
	o.Allow = c.list.Set()
	e := engine.New(o)
	old := c.engine
	c.engine = e
	now := c.d.o.Now()
	feeds := newFeeds(s.Sources)
	var stopped []*feed
	for i, f := range feeds {
		if j := slices.IndexFunc(c.feeds, func(g *feed) bool { return g.Key == f.Key }); j >= 0 {
			c.feeds[j].Location = f.Location
			feeds[i] = c.feeds[j]
		}
	}
	for _, f := range c.feeds {
		if !slices.Contains(feeds, f) {
			stopped = append(stopped, f)
		}
	}
	for _, f := range feeds {
		if !slices.Contains(c.feeds, f) {
			c.known = c.meta().Sources
			c.take(f)
			f.src = f.New(source.FromEnd)
		}
		c.declare(f, now)
	}
	e.Span(c.since, math.MaxInt64)
	if err := e.Restore(&state); err != nil {
		c.engine = old
		return fmt.Errorf("reload: %w", err)
	}
	c.hold()
	for _, f := range stopped {
		c.known = append(c.known, sourceState{Key: f.Key, Number: f.number, Place: f.place, Shift: f.shift})
		f.cancel()
	}
	for _, f := range feeds {
		if !slices.Contains(c.feeds, f) {
			c.d.start(c.d.sources, f)
		}
	}
	c.feeds = feeds
	return nil
}

// differences says what is new (+), gone (-), and waits for a restart (!).
func differences(old, fresh Settings) []string {
	var out []string
	for _, l := range old.Lines {
		if !slices.Contains(fresh.Lines, l) {
			out = append(out, "- "+l)
		}
	}
	for _, l := range fresh.Lines {
		if !slices.Contains(old.Lines, l) {
			out = append(out, "+ "+l)
		}
	}
	for _, l := range fresh.Fixed {
		if !slices.Contains(old.Fixed, l) {
			out = append(out, "! "+l+" (takes effect with a restart)")
		}
	}
	return out
}
