package allow

import (
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"github.com/postmoat/postmoat/pkg/prefix"
)

const (
	maxAdditions = 4096
	maxBecause   = 200
)

// An Addition is a prefix that the operator put on the allowlist by command.
type Addition struct {
	Prefix  netip.Prefix
	Until   int64  // Unix seconds; 0: no end
	Persist bool   // survives a restart of the daemon
	Because string // for people, may be ""
}

func (a Addition) over(now int64) bool { return a.Until != 0 && a.Until <= now }

func (a Addition) entry() Entry {
	e := Entry{Prefix: a.Prefix, Kind: Operator, Origin: "operator", Until: a.Until}
	if a.Because != "" {
		e.Origin += ": " + a.Because
	}
	return e
}

func (a Addition) check() error {
	switch {
	case !a.Prefix.IsValid():
		return errors.New("allow: not a valid prefix")
	case a.Prefix != prefix.Canonical(a.Prefix):
		return fmt.Errorf("allow %s: write %s", a.Prefix, prefix.Canonical(a.Prefix))
	case a.Until < 0:
		return fmt.Errorf("allow %s: the end is before all time", a.Prefix)
	case len(a.Because) > maxBecause || strings.ContainsFunc(a.Because, func(r rune) bool { return r < ' ' || r == 0x7f }):
		return fmt.Errorf("allow %s: the reason is longer than %d bytes or has control characters in it", a.Prefix, maxBecause)
	}
	return nil
}

func compareAdditions(a, b Addition) int { return a.Prefix.Compare(b.Prefix) }

// Add puts a prefix on the allowlist, at once and without looking at anything
// else. One that was added before gets the new end and reason.
func (c *Collector) Add(a Addition) (*List, error) {
	if err := a.check(); err != nil {
		return nil, err
	}
	now := c.o.Now().Unix()
	if a.over(now) {
		return nil, fmt.Errorf("allow %s: the end has passed", a.Prefix)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	i, found := slices.BinarySearchFunc(c.added, a, compareAdditions)
	switch {
	case found:
		c.added[i] = a
	case len(c.added) >= maxAdditions:
		return nil, fmt.Errorf("allow %s: there are %d additions already: write the networks into a file of the allowlist", a.Prefix, len(c.added))
	default:
		c.added = slices.Insert(c.added, i, a)
	}
	c.publish(now)
	return c.list, nil
}

// SetAdditions makes these, and no others, what was added by command. Those whose
// end has passed are left out; of several for one prefix the last is good.
func (c *Collector) SetAdditions(want []Addition) error {
	now := c.o.Now().Unix()
	byPrefix := make(map[netip.Prefix]Addition, len(want))
	for _, a := range want {
		if err := a.check(); err != nil {
			return err
		}
		if !a.over(now) {
			byPrefix[a.Prefix] = a
		}
	}
	if len(byPrefix) > maxAdditions {
		return fmt.Errorf("allow: %d additions, the most is %d: write the networks into a file of the allowlist", len(byPrefix), maxAdditions)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.added = slices.SortedFunc(maps.Values(byPrefix), compareAdditions)
	c.publish(now)
	return nil
}

// Remove takes back what Add put there. What comes from elsewhere cannot be
// removed by command: the error then says where it comes from.
func (c *Collector) Remove(p netip.Prefix) (*List, error) {
	p = prefix.Canonical(p)
	c.mu.Lock()
	defer c.mu.Unlock()
	i, found := slices.BinarySearchFunc(c.added, Addition{Prefix: p}, compareAdditions)
	if !found {
		return nil, c.elsewhere(p)
	}
	c.added = slices.Delete(c.added, i, i+1)
	c.publish(c.o.Now().Unix())
	return c.list, nil
}

// elsewhere says why a prefix cannot be removed.
func (c *Collector) elsewhere(p netip.Prefix) error {
	var from []string
	for _, e := range c.list.entries {
		if prefix.Covers(e.Prefix, p) && len(from) < 8 {
			from = append(from, fmt.Sprintf("%s from %s", e.Prefix, e.Origin))
		}
	}
	if from == nil {
		return fmt.Errorf("%s is not on the allowlist", p)
	}
	return fmt.Errorf("%s was not added by command: take it out where it comes from (%s)", p, strings.Join(from, ", "))
}
