package daemon

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/postmoat/postmoat/pkg/engine"
)

// Reload reads the configuration again and puts it in force; a broken one
// changes nothing and is the error. What changed comes back in words, lines
// that begin with + or -; and what needs a restart, with !.
func (d *Daemon) Reload(ctx context.Context, by string) ([]string, error) {
	d.reloading.Lock()
	defer d.reloading.Unlock()
	changed, err := d.reload(ctx)
	if err != nil {
		d.log.Error("reload: the old configuration stays in force", "by", by, "err", err)
		return nil, err
	}
	d.log.Info("configuration reloaded", "by", by, "changes", changed)
	d.tell(Event{Time: d.o.Now().UTC(), Type: "reload", Text: fmt.Sprintf("%d changes by %s", len(changed), by)})
	return changed, nil
}

func (d *Daemon) reload(ctx context.Context) ([]string, error) {
	if d.o.Reload == nil {
		return nil, &Refusal{What: "reload: there is no configuration to read again"}
	}
	if err := d.settled(ctx); err != nil {
		return nil, err
	}
	d.notify(Reloading, "reading the configuration again")
	defer d.notify(Ready, "running")
	fresh, err := d.o.Reload(ctx)
	if err != nil {
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
		// Additions that were made meanwhile.
		if err = k.SetAdditions(d.collector().State().Additions); err != nil {
			return
		}
		if err = c.renew(fresh); err != nil {
			return
		}
		d.setCollector(k)
		changed = differences(d.settings, fresh)
		d.settings = fresh
		c.allow(k, k.List())
	})
	if err = errors.Join(doErr, err); err != nil {
		return nil, err
	}
	select {
	case d.lookAgain <- struct{}{}:
	default:
	}
	return changed, nil
}

// settled waits until the core is there, and says whether it is at its usual
// work: only then is there something that can be renewed.
func (d *Daemon) settled(ctx context.Context) (err error) {
	doErr := d.in.do(ctx, func() {
		if c := d.core; c.phase != running {
			err = &Refusal{What: "reload: still " + c.phase, Hint: "try again in a moment"}
		}
	})
	return errors.Join(doErr, err)
}

// renew makes an engine of the new settings that knows what the old one does,
// and starts and stops sources. After an error all is as before.
func (c *core) renew(s Settings) error {
	var state bytes.Buffer
	if err := c.engine.Encode(&state); err != nil {
		return fmt.Errorf("reload: %w", err)
	}
	o := s.Engine
	o.Allow = c.list.Set()
	e := engine.New(o)
	now := c.d.o.Now()
	known := c.meta().Sources // the running ones too, so that no number is given twice
	feeds := newFeeds(s.Sources, now)
	var fresh []*feed
	for i, f := range feeds {
		if j := slices.IndexFunc(c.feeds, func(g *feed) bool { return g.Key == f.Key }); j >= 0 {
			feeds[i] = c.feeds[j]
		} else {
			fresh = append(fresh, f)
			known = f.take(known)
		}
		e.Source(feeds[i].number, stamps(f.Location, feeds[i].shift, now))
	}
	e.Span(c.since, math.MaxInt64)
	if err := e.Restore(&state); err != nil {
		return fmt.Errorf("reload: %w", err)
	}
	// From here on nothing can fail.
	for i, f := range feeds {
		f.Location = s.Sources[i].Location
	}
	for _, f := range c.feeds {
		if !slices.Contains(feeds, f) {
			f.gone = true
			f.cancel()
		}
	}
	c.engine, c.feeds, c.known = e, feeds, known
	c.hold()
	for _, f := range fresh {
		f.open()
		c.d.start(c.d.sources, f)
	}
	if len(fresh) > 0 {
		c.nextSave = time.Time{} // where they begin must not be forgotten
	}
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
