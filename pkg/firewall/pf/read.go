package pf

import (
	"context"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/postmoat/postmoat/pkg/ban"
	"github.com/postmoat/postmoat/pkg/firewall"
)

// Active reads the tables with their counters. Entries that a foreign hand put
// into the wrong table are left out: Setup removes them. Deadlines are those
// that this process keeps; what it took over from a run before has none.
func (b *Backend) Active(ctx context.Context) ([]firewall.Active, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	all, err := b.active()
	return all, explain("read", err)
}

func (b *Backend) active() ([]firewall.Active, error) {
	if err := b.expire(); err != nil {
		return nil, err
	}
	now := b.o.Now()
	var all []firewall.Active
	for s, t := range b.names.bans {
		have := make(map[netip.Prefix]int64)
		err := b.show(b.names.inner, t, true, func(f found) {
			e, ok := entry(s, f)
			if !ok {
				return
			}
			a := firewall.Active{Entry: e, Counter: f.counter}
			if deadline := b.held[s][e.Prefix]; deadline != 0 {
				a.Until, a.Deadline = deadline, deadline
				a.Remaining = time.Unix(deadline, 0).Sub(now)
			}
			have[e.Prefix] = a.Deadline
			all = append(all, a)
		})
		if ignoreGone(err) != nil {
			return nil, err
		}
		if b.up {
			b.held[s] = have
		}
	}
	b.read = now
	firewall.Sort(all)
	return all, nil
}

// Counters reads the tables that the entries asked for would be in, whole:
// pfctl cannot read a part of a table.
func (b *Backend) Counters(ctx context.Context, entries []ban.Entry) ([]firewall.Counter, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if err := b.expire(); err != nil {
		return nil, explain("read counters", err)
	}
	asked := make([]map[netip.Prefix][]int, len(b.names.bans))
	for i, e := range entries {
		s := slot(e)
		if asked[s] == nil {
			asked[s] = make(map[netip.Prefix][]int)
		}
		asked[s][e.Prefix] = append(asked[s][e.Prefix], i)
	}
	counters := make([]firewall.Counter, len(entries))
	for s, t := range b.names.bans {
		if asked[s] == nil {
			continue
		}
		err := b.show(b.names.inner, t, true, func(f found) {
			if e, ok := entry(s, f); ok {
				for _, i := range asked[s][e.Prefix] {
					counters[i] = f.counter
				}
			}
		})
		if ignoreGone(err) != nil {
			return nil, explain("read counters", err)
		}
	}
	return counters, nil
}

// expire removes what is due, as other firewalls do by themselves.
func (b *Backend) expire() error {
	now := b.o.Now().Unix()
	if now < b.due {
		return nil
	}
	for s, list := range b.takeDue(now) {
		if err := b.remove(s, list); err != nil {
			return err
		}
	}
	return nil
}

// found is an entry that a table holds.
type found struct {
	prefix  netip.Prefix
	negated bool
	counter firewall.Counter
}

// show reads a table; a line that is none of pfctl's is an error.
func (b *Backend) show(anchor, table string, counters bool, f func(found)) error {
	args := []string{"-a", anchor, "-t", table, "-T", "show"}
	if counters {
		args = append([]string{"-v"}, args...)
	}
	var bad error
	var last *found // an entry's counters follow it
	flush := func() {
		if last != nil {
			f(*last)
		}
		last = nil
	}
	_, err := b.run(nil, func(line string) {
		if strings.HasPrefix(line, "\t") {
			if rest, ok := strings.CutPrefix(line, "\tIn/Block:"); ok && last != nil {
				last.counter.Packets, last.counter.Bytes = parseCounts(rest)
			}
			return
		}
		flush()
		e, err := parseEntry(line)
		if err != nil {
			bad = err
			return
		}
		last = &e
	}, args...)
	if err == nil {
		err = bad
	}
	if err != nil {
		return err
	}
	flush()
	return nil
}

// parseEntry reads a line of -T show: "   192.0.2.0/24", "  !2001:db8::1".
func parseEntry(line string) (found, error) {
	s := strings.TrimSpace(line)
	s, negated := strings.CutPrefix(s, "!")
	f := found{negated: negated, counter: firewall.Counter{Present: true}}
	var err error
	if strings.Contains(s, "/") {
		f.prefix, err = netip.ParsePrefix(s)
	} else {
		var a netip.Addr
		a, err = netip.ParseAddr(s)
		f.prefix = netip.PrefixFrom(a, a.BitLen())
	}
	if err != nil {
		return found{}, fmt.Errorf("pfctl: unexpected line of a table: %q", line)
	}
	return f, nil
}

// parseCounts reads "    [ Packets: 12      Bytes: 720      ]".
func parseCounts(s string) (packets, bytes uint64) {
	words := strings.Fields(s)
	for i, w := range words[:max(len(words)-1, 0)] {
		n, _ := strconv.ParseUint(words[i+1], 10, 64)
		switch w {
		case "Packets:":
			packets = n
		case "Bytes:":
			bytes = n
		}
	}
	return packets, bytes
}

// rules are those of an anchor as pfctl prints them, "" for the main ones.
func (b *Backend) rules(anchor string) (string, error) {
	var s strings.Builder
	args := []string{"-s", "rules"}
	if anchor != "" {
		args = append([]string{"-a", anchor}, args...)
	}
	_, err := b.run(nil, func(line string) { s.WriteString(line + "\n") }, args...)
	return s.String(), err
}

// allRules are those of our two anchors; of an anchor that is gone, none.
func (b *Backend) allRules() (shown [2]string, err error) {
	for i, anchor := range []string{b.names.outer, b.names.inner} {
		if shown[i], err = b.rules(anchor); ignoreGone(err) != nil {
			return shown, err
		}
	}
	return shown, nil
}

// tableInfo is what pf says of a table.
type tableInfo struct {
	flags   string // "-pa-r-C"
	entries int    // -1: not told
}

// tables are those of an anchor.
func (b *Backend) tables(anchor string) (map[string]tableInfo, error) {
	tables := make(map[string]tableInfo)
	last := ""
	_, err := b.run(nil, func(line string) {
		if rest, ok := strings.CutPrefix(line, "\tAddresses:"); ok {
			if n, err := strconv.Atoi(strings.TrimSpace(rest)); err == nil && last != "" {
				tables[last] = tableInfo{tables[last].flags, n}
			}
		}
		flags, rest, ok := strings.Cut(line, "\t")
		if !ok || flags == "" {
			return
		}
		// The name of the anchor follows: "name<TAB>anchor", "name@anchor".
		last, _, _ = strings.Cut(rest, "\t")
		last = strings.TrimSuffix(last, "@"+anchor)
		tables[last] = tableInfo{flags, -1}
	}, "-a", anchor, "-v", "-v", "-s", "Tables")
	return tables, err
}
