package pf

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"time"

	"github.com/postmoat/postmoat/pkg/firewall"
	"github.com/postmoat/postmoat/pkg/prefix"
)

// Setup fills the allowlist, then loads the rules of both anchors; the bans of
// a run before stay in their tables all the while. It does not change the main
// rules nor switch pf on: whether the bans have any effect is told by Check,
// and what to do about it by Diagnose.
func (b *Backend) Setup(ctx context.Context, allow []netip.Prefix) error {
	if err := errors.Join(ctx.Err(), firewall.CheckAllow(name, allow)); err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	return explain("set up", b.setup(allow))
}

func (b *Backend) setup(allow []netip.Prefix) error {
	err := b.fillAllow(allow)
	if isConst(err) {
		// A foreign hand's table; loading the rules makes it ours again.
		if err = b.load(b.names.outer, b.names.outerRules()); err == nil {
			err = b.fillAllow(allow)
		}
	}
	if err != nil {
		return err
	}
	if err := b.load(b.names.outer, b.names.outerRules()); err != nil {
		return err
	}
	err = b.load(b.names.inner, b.names.innerRules(b.o.Options, true))
	if badSyntax(err) {
		err = b.load(b.names.inner, b.names.innerRules(b.o.Options, false))
	}
	if err != nil {
		return err
	}
	if b.shown, err = b.allRules(); err != nil {
		return err
	}
	if missing := b.names.whole(b.o.Options, b.shown); len(missing) > 0 {
		return fmt.Errorf("loaded and not there: %v", missing)
	}
	if err := b.evict(); err != nil {
		return err
	}
	if !b.up {
		if err := b.expireOld(); err != nil {
			return err
		}
	}
	if err := b.adopt(); err != nil {
		return err
	}
	b.up = true
	return nil
}

// evict kills the tables of our anchors that are not ours.
func (b *Backend) evict() error {
	for anchor, ours := range map[string][]string{b.names.outer: {b.names.allow}, b.names.inner: b.names.bans} {
		tables, err := b.tables(anchor)
		if err != nil {
			return err
		}
		if err := b.kill(anchor, tables, ours); err != nil {
			return err
		}
	}
	return nil
}

// kill removes tables from an anchor, but for those to be kept.
func (b *Backend) kill(anchor string, tables map[string]tableInfo, keep []string) error {
	for t := range tables {
		// A foreign hand's name that starts with a minus sign or has blanks
		// is an argument of its own all the same.
		if !slices.Contains(keep, t) {
			if err := ignoreGone(b.table(anchor, t, "kill")); err != nil {
				return err
			}
		}
	}
	return nil
}

// expireOld is the safety net for what a crashed run left: nobody else would
// ever remove it.
func (b *Backend) expireOld() error {
	age := strconv.FormatInt(int64(b.o.MaxAge/time.Second), 10)
	for _, t := range b.names.bans {
		if _, err := b.run(nil, nil, "-a", b.names.inner, "-t", t, "-T", "expire", age); err != nil {
			return err
		}
	}
	return nil
}

// adopt reads what the tables hold, and deletes what none of ours looks like.
func (b *Backend) adopt() error {
	for s, t := range b.names.bans {
		var strange []found
		have := make(map[netip.Prefix]int64)
		err := b.show(b.names.inner, t, false, func(f found) {
			if e, ok := entry(s, f); ok {
				have[e.Prefix] = b.held[s][e.Prefix]
			} else {
				strange = append(strange, f)
			}
		})
		if err != nil {
			return err
		}
		for part := range slices.Chunk(strange, perCall) {
			if _, err := b.feedSigned(b.names.inner, t, "delete", part); err != nil {
				return err
			}
		}
		b.held[s] = have
	}
	b.read = b.o.Now()
	return nil
}

// fillAllow gives the table of the allowlist its entries.
func (b *Backend) fillAllow(allow []netip.Prefix) error {
	want := make(map[found]bool)
	var set prefix.Set
	for _, p := range halves(prefix.Merge(allow)) {
		want[found{prefix: p}] = true
		set.Insert(p)
	}
	var extra []found
	err := b.show(b.names.outer, b.names.allow, false, func(f found) {
		f.counter = firewall.Counter{}
		if want[f] {
			delete(want, f)
		} else {
			extra = append(extra, f)
		}
	})
	if ignoreGone(err) != nil {
		return err
	}
	var fresh []netip.Prefix
	for f := range want {
		// What is there with the other sign has to go first.
		f.negated = true
		if slices.Contains(extra, f) {
			if _, err := b.feedSigned(b.names.outer, b.names.allow, "delete", []found{f}); err != nil {
				return err
			}
		}
		fresh = append(fresh, f.prefix)
	}
	slices.SortFunc(fresh, netip.Prefix.Compare)
	for part := range slices.Chunk(fresh, perCall) {
		if _, err := b.feed(b.names.outer, b.names.allow, "add", part); err != nil {
			return err
		}
	}
	for part := range slices.Chunk(extra, perCall) {
		if _, err := b.feedSigned(b.names.outer, b.names.allow, "delete", part); err != nil {
			return err
		}
	}
	b.allow.Replace(&set)
	return nil
}

// halves replaces prefixes of length 0, which nobody has seen in a table of pf,
// by their halves.
func halves(list []netip.Prefix) []netip.Prefix {
	var out []netip.Prefix
	for _, p := range list {
		if p.Bits() > 0 {
			out = append(out, p)
			continue
		}
		first := netip.PrefixFrom(p.Addr(), 1)
		second := netip.PrefixFrom(prefix.Last(p), 1).Masked()
		out = append(out, first, second)
	}
	return out
}
