//go:build linux

package iptables

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/postmoat/postmoat/pkg/ban"
	"github.com/postmoat/postmoat/pkg/firewall"
)

// aloft is from how many entries on a set is filled aside and swapped in, if it
// holds no more than are added: a first load, a repair of what is lost.
const aloft = 1000

// Apply makes a change, however large, in two steps: sets that get a lot are
// filled aside; then one run of ipset swaps them in, adds the rest in place, and
// removes. So what takes the place of an entry is there before that goes.
//
// The first step changes nothing that packets meet. The second is refused before
// it begins (no right, no program) or at one entry (no memory, a set removed by
// somebody else); then what it had done is taken back. If that fails too, or
// the program does not end in time, the error is an ErrUncertain: read back.
// Packets may meet a change half done, as ipset has no transactions.
//
// A deadline more than 24 days (2147483 s) ahead is cut to that.
func (b *Backend) Apply(ctx context.Context, c ban.Change) error {
	if err := errors.Join(ctx.Err(), firewall.CheckChange(name, c)); err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.up {
		return notUp("apply")
	}
	err := b.apply(ctx, c)
	if err != nil && strings.Contains(err.Error(), "Hash is full") {
		// Somebody else fills it, or entries that have ended still count.
		if err = b.enlarge(c); err == nil {
			err = b.apply(ctx, c)
		}
	}
	return explain("apply", err)
}

func notUp(op string) error {
	return &firewall.Error{Backend: name, Op: op, Kind: firewall.ErrGone, Err: errors.New("not set up"), Hint: hintGone}
}

// A job is what happens to one set.
type job struct {
	put    []element
	remove []ban.Entry
}

type element struct {
	ban.Entry
	timeout time.Duration
}

// sort makes jobs of a change. What is due within a second is removed.
func (b *Backend) sort(c ban.Change, now time.Time) map[set]*job {
	jobs := make(map[set]*job)
	of := func(e ban.Entry) *job {
		s := setOf(e)
		if jobs[s] == nil {
			jobs[s] = new(job)
		}
		return jobs[s]
	}
	for _, list := range [][]ban.Entry{c.Add, c.Refresh} {
		for _, e := range list {
			j := of(e)
			if d, ok := firewall.Ahead(e, now); ok {
				j.put = append(j.put, element{e, min(d, maxTimeout*time.Second)})
			} else {
				j.remove = append(j.remove, e)
			}
		}
	}
	for _, e := range c.Remove {
		j := of(e)
		j.remove = append(j.remove, e)
	}
	return jobs
}

func (b *Backend) apply(ctx context.Context, c ban.Change) error {
	now := b.o.Now()
	jobs := b.sort(c, now)
	aside := make(map[set]bool) // those that are filled aside
	for s, j := range jobs {
		if err := b.makeRoom(s, len(j.put)); err != nil {
			return err
		}
		aside[s] = len(j.put) >= aloft && len(j.put) >= b.sets[s].most
	}
	if err := b.fill(jobs, aside); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return errors.Join(err, b.discard())
	}
	do := b.write(jobs, aside)
	if err := b.feed(do); err != nil {
		return b.takeBack(err, jobs, aside, now)
	}
	for s, j := range jobs {
		b.note(s, j, now)
	}
	b.strays = nil
	return nil
}

// fill makes the sets that are to be swapped in. An error changes nothing.
func (b *Backend) fill(jobs map[set]*job, aside map[set]bool) error {
	var fill script
	for _, s := range banSets() {
		if !aside[s] {
			continue
		}
		if err := b.copy(&fill, s, len(jobs[s].put), b.sets[s].max); err != nil {
			return err
		}
		for _, e := range jobs[s].put {
			fill.add(s.aside(b.o.Owner), e.Prefix, seconds(e.timeout))
		}
	}
	if err := b.feed(&fill); err != nil {
		return errors.Join(err, b.discard())
	}
	return nil
}

// write is the second step: what is added in all sets, then what is removed.
func (b *Backend) write(jobs map[set]*job, aside map[set]bool) *script {
	do := new(script)
	for _, s := range banSets() {
		j := jobs[s]
		switch {
		case j == nil:
		case aside[s]:
			do.swap(s, b.o.Owner)
		default:
			for _, e := range j.put {
				do.add(s.name(b.o.Owner), e.Prefix, seconds(e.timeout))
			}
		}
	}
	for _, s := range banSets() {
		if j := jobs[s]; j != nil {
			for _, e := range j.remove {
				do.del(s.name(b.o.Owner), e.Prefix)
			}
		}
	}
	for _, s := range b.strays {
		do.del(s.set.name(b.o.Owner), s.prefix)
	}
	return do
}

// note keeps the books after a change.
func (b *Backend) note(s set, j *job, now time.Time) {
	st := b.sets[s]
	st.most += len(j.put)
	if st.tally == nil {
		return
	}
	for _, e := range j.put {
		st.tally.put(e.Prefix, now.Add(e.timeout).Unix())
	}
	for _, e := range j.remove {
		st.tally.drop(e.Prefix)
	}
	st.most = min(st.most, len(st.tally.ends))
}
