//go:build linux

package iptables

import (
	"errors"
	"slices"
	"time"

	"github.com/postmoat/postmoat/pkg/ban"
	"github.com/postmoat/postmoat/pkg/firewall"
)

// takeBack makes the sets hold what they held before a change that was refused
// halfway, and returns why it was.
func (b *Backend) takeBack(why error, jobs map[set]*job, aside map[set]bool, now time.Time) error {
	why = explain("apply", why)
	known := !errors.Is(why, firewall.ErrUncertain)
	for s := range jobs {
		known = known && b.sets[s].tally != nil && !aside[s]
	}
	var faults []error
	for _, s := range banSets() {
		if j := jobs[s]; j != nil && known {
			// Set by set: one that is gone must not keep the others from it.
			if err := b.feed(b.undo(s, j, now)); err != nil {
				faults = append(faults, err)
			}
		}
	}
	_ = b.discard()
	switch {
	case known && len(faults) == 0:
		return why
	case known && errors.Is(why, firewall.ErrGone) && gone(faults):
		// What is gone holds nothing of the change either.
	case errors.Is(why, firewall.ErrNotPermitted), errors.Is(why, firewall.ErrMissingProgram), errors.Is(why, firewall.ErrMissingModule):
		return why // nothing was done
	default:
		why = &firewall.Error{Backend: name, Op: "apply", Kind: firewall.ErrUncertain,
			Err: errors.Join(append(faults, why)...), Hint: "Read back what is there and repair it."}
	}
	for s := range jobs {
		b.sets[s].tally = nil
	}
	return why
}

// gone says that all errors are about what is not there any more.
func gone(faults []error) bool {
	return !slices.ContainsFunc(faults, func(err error) bool { return !errors.Is(explain("", err), firewall.ErrGone) })
}

// undo is what makes a set hold what it held before a job.
func (b *Backend) undo(s set, j *job, now time.Time) *script {
	undo := new(script)
	before := func(e ban.Entry) {
		if d, ok := b.sets[s].tally.left(e.Prefix, now); ok {
			undo.add(s.name(b.o.Owner), e.Prefix, seconds(d))
		} else {
			undo.del(s.name(b.o.Owner), e.Prefix)
		}
	}
	for _, e := range j.put {
		before(e.Entry)
	}
	for _, e := range j.remove {
		before(e)
	}
	return undo
}
