//go:build linux

package iptables

import (
	"context"
	"net/netip"
	"slices"

	"github.com/postmoat/postmoat/pkg/firewall"
)

// Check compares hooks, chains, the headers of the sets and the allowlist with
// what was made, and the number of the bans with what it has to be: some dozen
// runs of programs, each a few milliseconds. One ban that was replaced by
// another only Active finds.
func (b *Backend) Check(ctx context.Context) (firewall.Drift, error) {
	if err := ctx.Err(); err != nil {
		return firewall.Drift{}, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.up {
		return firewall.Drift{Missing: []string{"chain " + chainOf(b.o.Owner)}, Unproven: true}, nil
	}
	drift, err := b.check()
	if err != nil {
		return firewall.Drift{}, explain("check", err)
	}
	return drift, nil
}

func (b *Backend) check() (d firewall.Drift, err error) {
	for _, r := range b.rules {
		if r == nil {
			continue
		}
		missing, err := r.check()
		if err != nil {
			return d, err
		}
		d.Missing = append(d.Missing, missing...)
	}
	now := b.o.Now().Unix()
	headers, err := b.headers()
	if err != nil {
		return d, err
	}
	for _, s := range allSets() {
		called := s.name(b.o.Owner)
		h, there := headers[called]
		switch {
		case !there:
			d.Missing = append(d.Missing, "set "+called)
		case !h.is(s):
			d.Missing = append(d.Missing, "header of set "+called)
		case s.kind == allowed:
			same, err := b.sameAllow(s)
			if err != nil {
				return d, err
			}
			if !same {
				d.Missing = append(d.Missing, "entries of set "+called)
			}
		default:
			t := b.sets[s].tally
			d.Unproven = d.Unproven || t == nil || !t.fits(h.entries, now)
		}
	}
	d.Unproven = d.Unproven || len(d.Missing) > 0
	return d, nil
}

// check names what is not as we made it.
func (r *rules) check() (missing []string, err error) {
	hooks, err := r.listHooks()
	if err != nil {
		return nil, err
	}
	if !slices.Equal(hooks, r.hooks) {
		missing = append(missing, r.family.program()+": call of chain "+r.chain+" in raw/PREROUTING")
	}
	body, there, err := r.listBody()
	switch {
	case err != nil:
		return nil, err
	case !there:
		missing = append(missing, r.family.program()+": chain "+r.chain)
	case !slices.Equal(body, r.body):
		missing = append(missing, r.family.program()+": rules of chain "+r.chain)
	}
	return missing, nil
}

func (b *Backend) sameAllow(s set) (bool, error) {
	held, err := b.members(s)
	if err != nil {
		return false, err
	}
	var list []netip.Prefix
	for _, m := range held {
		if m.nomatch || m.seconds != 0 {
			return false, nil
		}
		list = append(list, m.prefix)
	}
	return slices.Equal(list, b.allow[s.family]), nil
}
