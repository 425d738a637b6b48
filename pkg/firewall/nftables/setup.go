//go:build linux

package nftables

import (
	"context"
	"errors"
	"maps"
	"net/netip"
	"slices"

	"github.com/google/nftables"
	"github.com/postmoat/postmoat/pkg/ban"
	"github.com/postmoat/postmoat/pkg/firewall"
)

// Setup makes the table, or takes it over with the bans it holds. The allow
// sets are filled before any rule looks at a ban.
func (b *Backend) Setup(ctx context.Context, allow []netip.Prefix) error {
	if err := errors.Join(ctx.Err(), firewall.CheckAllow(name, allow)); err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	found, gen, err := b.survey()
	if err != nil {
		return explain("look at the table", err)
	}
	if found.table == nil {
		b.shape, b.contents = gen, gen // there is nothing that could be wrong
	}
	if found.ours {
		return explain(opSetup, b.build(found, allow))
	}
	return explain(opSetup, b.replace(found, allow))
}

// A survey is what there is under our name.
type survey struct {
	table  *nftables.Table // nil: nothing
	sets   map[string]*nftables.Set
	chains map[string]*nftables.Chain
	slots  map[slot]bool // ban sets of our shape
	ours   bool          // nothing of it stands in our way
}

// survey looks at what there is, in the generation it returns.
func (b *Backend) survey() (v survey, gen uint32, err error) {
	gen, err = b.steady(func(c *nftables.Conn) error {
		v, err = b.look(c)
		return err
	})
	return v, gen, err
}

func (b *Backend) look(c *nftables.Conn) (survey, error) {
	v := survey{sets: make(map[string]*nftables.Set), chains: make(map[string]*nftables.Chain), slots: make(map[slot]bool), ours: true}
	var err error
	if v.table, err = b.findTable(c); err != nil || v.table == nil {
		return v, err
	}
	v.ours = v.table.Flags == 0 // else somebody put it to sleep (dormant), or owns it
	sets, err := c.GetSets(b.layout.table)
	if err != nil {
		// The library knows not all types of sets; one of those is not ours.
		if sets, err = c.GetSets(b.layout.table); err != nil {
			v.ours = false
		}
	}
	fixed := b.layout.fixedSets()
	for _, have := range sets {
		v.sets[have.Name] = have
		s, isBan := parseSlot(have.Name)
		want, isFixed := fixed[have.Name]
		if isBan {
			want = b.layout.banSet(s)
		}
		switch {
		case !isBan && !isFixed || !sameShape(have, want):
			v.ours = false
		case isBan:
			v.slots[s] = true
		}
	}
	all, err := c.ListChainsOfTableFamily(nftables.TableFamilyINet)
	if err != nil {
		return v, err
	}
	for _, chain := range all {
		if chain.Table.Name != b.layout.table.Name {
			continue
		}
		v.chains[chain.Name] = chain
		known := slices.Contains(chains(), chain.Name) && chain.Hooknum == nil
		if !known && (chain.Name != chainBase || !b.isBase(chain)) {
			v.ours = false
		}
	}
	return v, nil
}

// isBase says whether a chain is called where and when ours has to be.
func (b *Backend) isBase(c *nftables.Chain) bool {
	want := b.layout.baseChain()
	return c.Hooknum != nil && *c.Hooknum == *want.Hooknum && c.Priority != nil && *c.Priority == *want.Priority &&
		c.Type == want.Type && c.Policy != nil && *c.Policy == *want.Policy
}

// build adds what is missing, then the allowlist, then the rules anew.
func (b *Backend) build(v survey, allow []netip.Prefix) error {
	err := b.structure(func(c *nftables.Conn) error {
		c.AddTable(b.layout.table)
		for name, set := range b.layout.fixedSets() {
			if v.sets[name] == nil {
				if err := c.AddSet(set, nil); err != nil {
					return err
				}
			}
		}
		b.layout.addChains(c)
		return nil
	})
	if err != nil {
		return err
	}
	if err := b.setAllow(allow); err != nil {
		return err
	}
	err = b.structure(func(c *nftables.Conn) error {
		c.FlushTable(b.layout.table) // the rules only
		b.layout.addRules(c, v.slots)
		return b.layout.addPorts(c)
	})
	if err != nil {
		return err
	}
	return b.remember(v.slots)
}

// remember reads the handles of the rules that were just made.
func (b *Backend) remember(slots map[slot]bool) error {
	rules := make(map[string][]uint64)
	gen, err := b.steady(func(c *nftables.Conn) (err error) {
		for _, chain := range append(chains(), chainBase) {
			if rules[chain], err = b.handles(c, chain); err != nil {
				return err
			}
		}
		return nil
	})
	if err == nil {
		b.slots, b.rules, b.shape = slots, rules, gen
	}
	return err
}

// handles are the names the kernel gave the rules of a chain: a rule that is
// deleted, replaced or made again by somebody else has another.
func (b *Backend) handles(c *nftables.Conn, chain string) ([]uint64, error) {
	rules, err := c.GetRules(b.layout.table, &nftables.Chain{Name: chain})
	if err != nil {
		return nil, err
	}
	handles := make([]uint64, len(rules))
	for i, r := range rules {
		handles[i] = r.Handle
	}
	return handles, nil
}

// replace makes the table new, as what is there is not ours, and puts back the
// bans that could be read from it.
func (b *Backend) replace(v survey, allow []netip.Prefix) error {
	kept, err := b.active(v.slots)
	if err != nil {
		return err
	}
	err = b.structure(func(c *nftables.Conn) error {
		c.DelTable(b.layout.table)
		return nil
	})
	if err != nil {
		return err
	}
	v, gen, err := b.survey()
	if err != nil {
		return err
	}
	if v.table == nil {
		b.shape, b.contents = gen, gen
	}
	if err := b.build(v, allow); err != nil {
		return err
	}
	bans := make([]ban.Entry, len(kept))
	for i, a := range kept {
		bans[i] = a.Entry
	}
	return b.apply(context.Background(), ban.Change{Add: bans})
}

// ensure makes the sets of slots, and the rules that look them up.
func (b *Backend) ensure(slots map[slot]bool) error {
	all := maps.Clone(b.slots)
	touched := make(map[string]bool)
	for s := range slots {
		if !b.slots[s] {
			all[s], touched[s.chain()] = true, true
		}
	}
	if len(touched) == 0 {
		return nil
	}
	err := b.structure(func(c *nftables.Conn) error {
		for s := range all {
			if !b.slots[s] {
				if err := c.AddSet(b.layout.banSet(s), nil); err != nil {
					return err
				}
			}
		}
		for chain := range touched {
			c.FlushChain(&nftables.Chain{Name: chain, Table: b.layout.table})
		}
		lookups := maps.Clone(all)
		maps.DeleteFunc(lookups, func(s slot, _ bool) bool { return !touched[s.chain()] })
		b.layout.addLookups(c, lookups)
		return nil
	})
	if err != nil {
		return err
	}
	b.slots = all
	return b.query(func(c *nftables.Conn) (err error) {
		for chain := range touched {
			if b.rules[chain], err = b.handles(c, chain); err != nil {
				return err
			}
		}
		return nil
	})
}
