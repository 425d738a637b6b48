package pf

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/postmoat/postmoat/pkg/firewall"
)

// readEvery is how often Check reads the tables whole.
const readEvery = 10 * time.Minute

// Check asks whether pf is on and its main rules call our anchor, and compares
// the rules and the flags and sizes of the tables with what this process has
// put there; a table of another size is Unproven. Every ten minutes it compares
// the entries. What Setup cannot repair (pf is off, the anchor is not called)
// is among Missing as well: see Diagnose.
func (b *Backend) Check(ctx context.Context) (firewall.Drift, error) {
	if err := ctx.Err(); err != nil {
		return firewall.Drift{}, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	d, err := b.check()
	return d, explain("check", err)
}

func (b *Backend) check() (d firewall.Drift, err error) {
	if err := b.expire(); err != nil {
		return d, err
	}
	m, err := b.main()
	if err != nil {
		return d, err
	}
	d.Missing = m.missing(b.names.outer)
	shown, err := b.allRules()
	if err != nil {
		return d, err
	}
	if broken := b.names.whole(b.o.Options, shown); len(broken) > 0 {
		d.Missing = append(d.Missing, broken...)
	} else if b.up && shown != b.shown {
		d.Missing = append(d.Missing, fmt.Sprintf("rules of anchor %q are altered", b.names.outer))
	}
	if err := b.checkTables(&d); err != nil || len(d.Missing) > 0 || !b.up {
		return d, err
	}
	if !d.Unproven && b.o.Now().Sub(b.read) >= readEvery {
		d.Unproven, err = b.compare()
	}
	return d, err
}

// checkTables compares flags and sizes.
func (b *Backend) checkTables(d *firewall.Drift) error {
	want := map[string]int{b.names.allow: len(b.allow.All())}
	for s, t := range b.names.bans {
		want[t] = len(b.held[s])
	}
	have := make(map[string]tableInfo)
	for _, anchor := range []string{b.names.outer, b.names.inner} {
		tables, err := b.tables(anchor)
		if ignoreGone(err) != nil {
			return err
		}
		for t, info := range tables {
			if _, ours := want[t]; !ours {
				d.Missing = append(d.Missing, fmt.Sprintf("table <%s> of anchor %q is not ours", t, anchor))
			}
			have[t] = info
		}
	}
	for _, t := range append([]string{b.names.allow}, b.names.bans...) {
		info, ok := have[t]
		switch {
		case !ok:
			d.Missing = append(d.Missing, "table <"+t+">")
		case !strings.HasPrefix(info.flags, "-p"): // const or not persistent
			d.Missing = append(d.Missing, "flags of table <"+t+">")
		case !b.up || info.entries == want[t]:
		case t == b.names.allow:
			d.Missing = append(d.Missing, "entries of table <"+t+">")
		default:
			d.Unproven = true
		}
	}
	return nil
}

// compare says whether the tables differ from what they should hold. The number
// of entries is the same.
func (b *Backend) compare() (differs bool, err error) {
	err = b.show(b.names.outer, b.names.allow, false, func(f found) {
		differs = differs || f.negated || !slices.Contains(b.allow.Within(f.prefix), f.prefix)
	})
	if err != nil {
		return differs, err
	}
	for s, t := range b.names.bans {
		err := b.show(b.names.inner, t, false, func(f found) {
			_, held := b.held[s][f.prefix]
			differs = differs || f.negated || !held
		})
		if err != nil {
			return differs, err
		}
	}
	if !differs {
		b.read = b.o.Now()
	}
	return differs, nil
}

// mainRules is what decides whether our anchor is looked at.
type mainRules struct {
	enabled bool
	called  bool     // by a rule of the main ruleset
	shadows []string // rules before that one that let packets pass at once
}

func (b *Backend) main() (m mainRules, err error) {
	_, err = b.run(nil, func(line string) {
		m.enabled = m.enabled || strings.HasPrefix(line, "Status: Enabled")
	}, "-s", "info")
	if err != nil {
		return m, err
	}
	rules, err := b.rules("")
	if err != nil {
		return m, err
	}
	for line := range strings.Lines(rules) {
		words := strings.Fields(line)
		switch {
		case m.called || len(words) == 0:
		case words[0] == "anchor" && len(words) > 1 && calls(words[1], b.names.outer):
			m.called = true
		case b.shadows(words):
			m.shadows = append(m.shadows, strings.TrimSpace(line))
		}
	}
	return m, nil
}

// shadows says whether a rule lets packets to our ports pass without looking
// any further.
func (b *Backend) shadows(rule []string) bool {
	if rule[0] != "pass" || !slices.Contains(rule, "quick") || slices.Contains(rule, "out") || slices.Contains(rule, "lo0") {
		return false
	}
	to := rule[max(slices.Index(rule, "to"), 0):]
	i := slices.Index(to, "port")
	if i < 0 || i+2 >= len(to) || to[i+1] != "=" {
		return true
	}
	// One port, which older versions print by the name of its service.
	n, err := strconv.ParseUint(to[i+2], 10, 16)
	if err != nil {
		return slices.Contains(services[:], to[i+2])
	}
	return slices.Contains(b.o.AllPorts(), uint16(n))
}

// services are the names of mail ports in /etc/services of the BSDs.
var services = [...]string{"smtp", "submission", "submissions", "smtps", "pop3", "pop3s", "imap", "imap2", "imaps", "sieve"}

// calls says whether the name of an anchor rule of the main ruleset, quoted,
// means our anchor. A wildcard ("mail/*") stands for the anchors below another
// one, never for one at the top.
func calls(quoted, anchor string) bool {
	return strings.TrimPrefix(strings.Trim(quoted, `"`), "/") == anchor
}

func (m mainRules) missing(anchor string) (list []string) {
	if !m.enabled {
		list = append(list, "pf is not enabled")
	}
	if !m.called {
		list = append(list, fmt.Sprintf("anchor %q is not called by the main rules", anchor))
	}
	return list
}
