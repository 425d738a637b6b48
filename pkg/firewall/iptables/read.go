//go:build linux

package iptables

import (
	"context"
	"fmt"
	"time"

	"github.com/postmoat/postmoat/pkg/ban"
	"github.com/postmoat/postmoat/pkg/firewall"
)

// never is the deadline of an entry without one, which only a foreign hand can
// have made: the end of the year 9999.
const never = 253402300799

// Active reads all ban sets: some 300,000 entries a second. What others have put
// there and no ban looks like (a network among the hosts) is not told: the next
// change, or Setup, removes it.
func (b *Backend) Active(ctx context.Context) ([]firewall.Active, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.strays = nil
	var all []firewall.Active
	for _, s := range banSets() {
		held, err := b.members(s)
		if err != nil {
			return nil, explain("read", fmt.Errorf("set %s: %w", s.name(b.o.Owner), err))
		}
		tally := newTally()
		for _, m := range held {
			if !m.belongs(s) {
				b.strays = append(b.strays, stray{s, m.prefix})
				continue
			}
			a := firewall.Active{Counter: firewall.Counter{Present: true, Packets: m.packets, Bytes: m.bytes}}
			a.Prefix, a.Door, a.Deadline = m.prefix, s.door, never
			if m.seconds > 0 {
				// It is shown rounded down.
				left := time.Duration(m.seconds)*time.Second + 500*time.Millisecond
				a.Deadline = m.read.Add(left).Round(time.Second).Unix()
				a.Remaining = max(left-b.o.Now().Sub(m.read), 1)
			}
			a.Until = a.Deadline
			tally.put(m.prefix, a.Deadline)
			all = append(all, a)
		}
		if st := b.sets[s]; st != nil {
			st.tally, st.most = tally, len(held)
		}
	}
	firewall.Sort(all)
	return all, nil
}

// Counters reads the whole sets that the entries are in: ipset has no way to
// ask for the counters of one.
func (b *Backend) Counters(ctx context.Context, entries []ban.Entry) ([]firewall.Counter, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	asked := make(map[firewall.Key][]int, len(entries))
	sets := make(map[set]bool)
	for i, e := range entries {
		asked[firewall.KeyOf(e)] = append(asked[firewall.KeyOf(e)], i)
		sets[setOf(e)] = true
	}
	counters := make([]firewall.Counter, len(entries))
	for _, s := range banSets() {
		if !sets[s] {
			continue
		}
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		held, err := b.members(s)
		if err != nil {
			return nil, explain("read counters", err)
		}
		for _, m := range held {
			if !m.belongs(s) {
				continue
			}
			for _, i := range asked[firewall.Key{Prefix: m.prefix, Door: s.door}] {
				counters[i] = firewall.Counter{Present: true, Packets: m.packets, Bytes: m.bytes}
			}
		}
	}
	return counters, nil
}
