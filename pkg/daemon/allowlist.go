package daemon

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/postmoat/postmoat/pkg/allow"
	"github.com/postmoat/postmoat/pkg/firewall"
)

// collector is what collects the allowlist: another one after a reload.
func (d *Daemon) collector() *allow.Collector {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.collects
}

func (d *Daemon) setCollector(k *allow.Collector) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.collects = k
}

// collect makes the collector and looks at everything once. What is wrong is
// said by its list.
func (d *Daemon) collect(ctx context.Context, kept allow.State) error {
	k, err := collected(ctx, d.settings.Allow, kept)
	if err != nil {
		return err
	}
	d.setCollector(k)
	return nil
}

func collected(ctx context.Context, o allow.Options, kept allow.State) (*allow.Collector, error) {
	k := allow.New(o)
	if err := k.Restore(kept); err != nil {
		return nil, err
	}
	_, err := k.Collect(ctx)
	return k, err
}

// lookAround keeps the allowlist up to date until ctx ends.
func (d *Daemon) lookAround(ctx context.Context) {
	for {
		k := d.collector()
		wait := time.Hour
		if next := k.Next(); !next.IsZero() {
			wait = min(max(next.Sub(d.o.Now()), 0), wait)
		}
		timer := time.NewTimer(max(wait, 100*time.Millisecond))
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-timer.C:
		case <-d.lookAgain:
			timer.Stop()
			continue
		}
		l, changed, err := k.Refresh(ctx)
		if err != nil || !changed {
			continue
		}
		err = d.in.do(ctx, func() { d.core.allow(k, l) })
		if err != nil {
			return // the daemon stops
		}
	}
}

// allow puts a list in force, unless a reload has let its collector go since it
// was made, or there is a newer one of the same collector.
func (c *core) allow(k *allow.Collector, l *allow.List) { c.change(k, l, false) }

// change is allow; byHand: who did it has been logged, so that what a command
// put there or took away is not told again.
func (c *core) change(k *allow.Collector, l *allow.List, byHand bool) {
	old := c.list
	if k != c.d.collector() || old != nil && c.listOf == k && l.Serial() <= old.Serial() {
		return
	}
	c.list, c.listOf = l, k
	added, removed := l.Diff(old)
	for _, e := range added {
		if byHand && e.Kind == allow.Operator {
			continue
		}
		c.d.log.Info("allowlisted", "prefix", e.Prefix, "kind", e.Kind, "origin", e.Origin)
	}
	for _, e := range removed {
		if byHand && e.Kind == allow.Operator {
			continue
		}
		c.d.log.Info("no longer allowlisted", "prefix", e.Prefix, "kind", e.Kind, "origin", e.Origin)
	}
	c.hold()
	c.engine.SetAllow(l.Set())
	c.spare()
	if c.phase == starting {
		return // the firewall is told of all of it in a moment
	}
	if err := c.d.keeper.SetAllow(context.Background(), l.Prefixes()); err != nil && !errors.Is(err, firewall.ErrPending) {
		c.d.log.Error("firewall refused the allowlist", "err", err)
	}
	if err := c.flush(context.Background()); err != nil && !errors.Is(err, firewall.ErrPending) {
		c.d.log.Error("firewall refused a change", "err", err)
	}
	if len(added)+len(removed) > 0 {
		c.d.tell(Event{Time: c.now(), Type: "allow", Text: summary(added, removed)})
	}
}

// spare tells what ends connections whom to leave alone.
func (c *core) spare() {
	if s := c.d.o.Severer; s != nil {
		s.SetAllow(c.list.Prefixes())
	}
}

// kept are the operator's additions that survive a restart.
func (c *core) kept() []allow.Addition {
	all := c.d.collector().State().Additions
	return slices.DeleteFunc(all, func(a allow.Addition) bool { return !a.Persist })
}

func summary(added, removed []allow.Entry) string {
	text := ""
	for i, e := range slices.Concat(added, removed) {
		if i == 8 {
			return text + ", ..."
		}
		sign := "+"
		if i >= len(added) {
			sign = "-"
		}
		if text != "" {
			text += ", "
		}
		text += sign + e.Prefix.String()
	}
	return text
}
