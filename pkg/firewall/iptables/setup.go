//go:build linux

package iptables

import (
	"context"
	"errors"
	"net/netip"
	"os"
	"slices"
	"strings"

	"github.com/postmoat/postmoat/pkg/firewall"
)

// Setup makes sets, allowlist, chain and hook in this order, or takes them over
// with the bans they hold. Then it removes what an earlier run with the other
// variant of iptables left.
func (b *Backend) Setup(ctx context.Context, allow []netip.Prefix) error {
	if err := errors.Join(ctx.Err(), firewall.CheckAllow(name, allow)); err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	return explain("set up", b.setup(allow))
}

func (b *Backend) setup(allow []netip.Prefix) error {
	var all [len(families)]*rules
	for _, f := range families {
		r, err := b.openRules(f)
		if err == nil {
			_, err = r.listHooks()
		}
		if f == ipv6 && missingFamily(err) {
			b.noIPv6 = explain("set up IPv6", err)
			continue
		}
		if err != nil {
			return err
		}
		all[f] = r
	}
	if all[ipv6] != nil {
		b.noIPv6 = nil
	}
	if err := b.makeSets(all); err != nil {
		return err
	}
	if err := b.setAllow(allow); err != nil {
		return err
	}
	for f, r := range all {
		if r == nil {
			continue
		}
		err := b.build(r)
		if family(f) == ipv6 && missingFamily(err) { // no match for sets, say
			b.noIPv6, all[f] = explain("set up IPv6", err), nil
			err = r.remove(b.made[f])
		}
		if err != nil {
			return err
		}
	}
	for _, r := range b.others(all) {
		if err := r.remove(false); err != nil {
			return err
		}
	}
	b.rules, b.up = all, true
	return nil
}

func (b *Backend) openRules(f family) (*rules, error) {
	return openRules(f, [...]string{b.programs.IPTables, b.programs.IP6Tables}[f], b.o.Owner)
}

// makeSets makes the sets that are missing and those that are not as they are
// to be. Known ones keep what is known of them.
func (b *Backend) makeSets(all [len(families)]*rules) error {
	if err := b.discard(); err != nil {
		return err
	}
	headers, err := b.headers()
	if err != nil {
		return err
	}
	var do script
	flushed := false
	for _, s := range allSets() {
		called := s.name(b.o.Owner)
		h, there := headers[called]
		switch {
		case there && !h.swappable(s):
			// The kernel destroys no set that a rule looks up.
			if !flushed {
				if err := b.clearChains(all); err != nil {
					return err
				}
				flushed = true
			}
			do.word("destroy ", called)
			do.create(s, called, 0, minMax)
		case there && !h.is(s) && s.kind != allowed: // the allowlist is made anew anyway
			if err := b.copy(&do, s, 0, max(h.max(), minMax)); err != nil {
				return err
			}
			do.swap(s, b.o.Owner)
		case !there:
			do.create(s, called, 0, minMax)
		}
	}
	for _, s := range b.strays {
		do.del(s.set.name(b.o.Owner), s.prefix)
	}
	if err := b.feed(&do); err != nil {
		return err
	}
	b.strays = nil
	b.learn(headers)
	return nil
}

// learn notes what is known of the sets after they were made.
func (b *Backend) learn(headers map[string]header) {
	states := make(map[set]*state)
	for _, s := range banSets() {
		h, there := headers[s.name(b.o.Owner)]
		st := b.sets[s]
		switch {
		case !there || !h.swappable(s):
			st = &state{max: minMax, tally: newTally()}
		case !h.is(s):
			st = &state{max: max(h.max(), minMax), most: h.entries}
		case st == nil || st.tally == nil || h.max() != st.max:
			st = &state{max: h.max(), most: h.entries}
			if h.entries == 0 {
				st.tally = newTally()
			}
		}
		states[s] = st
	}
	b.sets = states
}

// clearChains empties our chains, of both variants.
func (b *Backend) clearChains(all [len(families)]*rules) error {
	for _, r := range append(b.others(all), all[:]...) {
		if r == nil {
			continue
		}
		_, there, err := r.listBody()
		if err == nil && there {
			err = r.ipt.ClearChain(rawTable, r.chain)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// others are the rules of the other variant of iptables than ours, where there
// are any: an operator may have switched from one to the other (or this program
// was told to).
func (b *Backend) others(all [len(families)]*rules) []*rules {
	var found []*rules
	for _, f := range families {
		variants := []string{"-legacy", "-nft"}
		if r := all[f]; r != nil && r.native {
			variants = variants[:1]
		} else if r != nil {
			variants = variants[1:]
		}
		for _, v := range variants {
			if v == "-legacy" && !legacyTable(f) {
				continue // asking would make it
			}
			r, err := openRules(f, f.program()+v, b.o.Owner)
			if err != nil {
				continue
			}
			hooks, err := r.listHooks()
			_, there, err2 := r.listBody()
			if err == nil && err2 == nil && (there || len(hooks) > 0) {
				found = append(found, r)
			}
		}
	}
	return found
}

// legacyTable says whether the legacy table raw of a family is in the kernel. The
// list is for root only; who else cannot have made it.
func legacyTable(f family) bool {
	// Not /proc/net: that is the network namespace of the first thread, which
	// need not be ours.
	list, err := os.ReadFile("/proc/thread-self/net/" + [...]string{"ip_tables_names", "ip6_tables_names"}[f])
	return err == nil && slices.Contains(strings.Fields(string(list)), rawTable)
}

// Teardown removes hooks, chains and sets. A legacy table raw that was not there
// before stays, empty: nothing can remove it.
func (b *Backend) Teardown(ctx context.Context) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return err
	}
	return explain("tear down", b.teardown())
}

func (b *Backend) teardown() error {
	headers, err := b.headers()
	if err != nil {
		return err
	}
	var all [len(families)]*rules
	for _, f := range families {
		r, err := b.openRules(f)
		if err == nil && (r.native || legacyTable(f) || os.Getuid() != 0) {
			err = r.remove(b.made[f])
		}
		if err != nil && !(f == ipv6 && missingFamily(err)) {
			return err
		}
		if err == nil {
			all[f] = r
		}
	}
	for _, r := range b.others(all) {
		if err := r.remove(false); err != nil {
			return err
		}
	}
	var away script
	for _, s := range allSets() {
		for _, called := range []string{s.name(b.o.Owner), s.aside(b.o.Owner)} {
			if _, there := headers[called]; there {
				away.word("destroy ", called)
			}
		}
	}
	if err := b.feed(&away); err != nil {
		return err
	}
	b.up, b.sets, b.strays, b.noIPv6 = false, nil, nil, nil
	b.rules, b.made, b.allow = [len(families)]*rules{}, [len(families)]bool{}, [len(families)][]netip.Prefix{}
	return nil
}
