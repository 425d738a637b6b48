//go:build linux

package nftables

import (
	"context"
	"encoding/binary"
	"fmt"
	"maps"
	"slices"

	"github.com/google/nftables"
	"github.com/postmoat/postmoat/pkg/firewall"
	"github.com/postmoat/postmoat/pkg/maillog"
)

// Check asks for the generation of the ruleset: when only our own changes led
// to it, that is all. Otherwise table, chains, rules, sets, ports and allowlist
// are compared with what we made. The bans themselves are not: they are
// unproven until Active has read them or Watch has seen that nobody touched
// them.
func (b *Backend) Check(ctx context.Context) (firewall.Drift, error) {
	if err := ctx.Err(); err != nil {
		return firewall.Drift{}, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	gen, err := b.generation()
	if err != nil {
		return firewall.Drift{}, explain("check", err)
	}
	if b.slots == nil {
		return firewall.Drift{Missing: []string{b.title()}, Unproven: true}, nil
	}
	if gen == b.shape {
		return firewall.Drift{Unproven: gen != b.contents}, nil
	}
	missing, err := b.compare()
	if err != nil {
		return firewall.Drift{}, explain("check", err)
	}
	if len(missing) == 0 {
		b.shape = gen
	}
	return firewall.Drift{Missing: missing, Unproven: gen != b.contents}, nil
}

func (b *Backend) title() string { return "table inet " + b.layout.table.Name }

// compare names what is not as we made it.
func (b *Backend) compare() (missing []string, err error) {
	var v survey
	_, err = b.steady(func(c *nftables.Conn) error {
		missing = nil
		if v, err = b.look(c); err != nil || v.table == nil {
			missing = append(missing, b.title())
			return err
		}
		if !v.ours {
			missing = append(missing, b.title()+" is not as we made it")
		}
		for _, chain := range append(chains(), chainBase) {
			switch handles, err := b.handles(c, chain); {
			case v.chains[chain] == nil:
				missing = append(missing, "chain "+chain)
			case err != nil:
				return err
			case !slices.Equal(handles, b.rules[chain]):
				missing = append(missing, "rules of chain "+chain)
			}
		}
		return nil
	})
	if err != nil || v.table == nil {
		return missing, err
	}
	for set := range b.layout.fixedSets() {
		if v.sets[set] == nil {
			missing = append(missing, "set "+set)
		}
	}
	for s := range b.slots {
		if !v.slots[s] {
			missing = append(missing, "set "+s.set())
		}
	}
	if len(missing) > 0 {
		slices.Sort(missing)
		return missing, nil
	}
	return b.compareSets()
}

// compareSets reads the small sets: the ports and the allowlist.
func (b *Backend) compareSets() (missing []string, err error) {
	want := map[string]map[held]bool{setAllow + "4": {}, setAllow + "6": {}, setPorts: portKeys(b.o.AllPorts())}
	for door, ports := range b.o.Ports {
		if len(ports) > 0 {
			want[maillog.Door(door).String()] = portKeys(ports)
		}
	}
	for _, s := range b.allow {
		set := want[setAllow+slot{v6: s.first.Is6()}.family()]
		for _, e := range s.elements() {
			set[held{key: e.key, end: e.end}] = true
		}
	}
	for _, set := range slices.Sorted(maps.Keys(want)) {
		have, err := b.dump(set)
		if err != nil {
			return nil, fmt.Errorf("set %s: %w", set, err)
		}
		same := len(have) == len(want[set])
		for _, h := range have {
			same = same && want[set][held{key: h.key, end: h.end}]
		}
		if !same {
			missing = append(missing, "elements of set "+set)
		}
	}
	return missing, nil
}

func portKeys(list []uint16) map[held]bool {
	keys := make(map[held]bool)
	for _, p := range list {
		var h held
		binary.BigEndian.PutUint16(h.key[:], p)
		keys[h] = true
	}
	return keys
}
