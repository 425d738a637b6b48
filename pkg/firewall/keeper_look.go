package firewall

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/postmoat/postmoat/pkg/ban"
)

const (
	// long is how long a reading of everything may hold up changes: what
	// took longer is read in slices from then on.
	long = 500 * time.Millisecond
	// slice is how many entries are asked for at a time.
	slice = 2000
)

// glance is one look, cheap if nothing is wrong. ev is who touched the firewall,
// if known.
func (k *Keeper) glance(ctx context.Context, ev Event) error {
	if err := k.take(ctx); err != nil {
		return err
	}
	defer k.release(ctx)
	if err := k.work(ctx); err != nil {
		return err
	}
	k.mu.Lock()
	told, doubt := k.told, k.doubt
	k.mu.Unlock()
	if !told {
		return nil
	}
	drift, err := k.b.Check(ctx)
	if err != nil {
		k.trouble(err)
		return err
	}
	full := k.o.Now().Sub(k.lastFull) >= k.o.Full
	if drift.OK() && !doubt && !full {
		k.inStep()
		return nil
	}
	if len(drift.Missing) > 0 {
		k.missing = drift.Missing
	}
	if !drift.OK() {
		k.mu.Lock()
		k.touched = true
		k.mu.Unlock()
	}
	setup := doubt || len(drift.Missing) > 0
	var harm harm
	if k.slow && !doubt && !(full && drift.Unproven) {
		harm, err = k.inSlices(ctx, setup)
		if err == nil && !drift.Unproven {
			k.lastFull = k.o.Now()
		}
	} else {
		harm, err = k.whole(ctx, setup)
	}
	if err != nil {
		return err
	}
	missing := k.missing
	k.missing = nil
	if len(missing) == 0 && (doubt || harm == harm0) {
		return nil // who was there did us no harm, or it was ourselves
	}
	k.mu.Lock()
	k.state.Repairs++
	k.mu.Unlock()
	k.o.Log.Warn("firewall repaired", "backend", k.b.Name(), "missing", missing,
		"added", harm.added, "refreshed", harm.refreshed, "removed", harm.removed,
		"by", ev.Program, "pid", ev.PID, "did", ev.What)
	return nil
}

// A harm is how many entries somebody else had taken away, altered and added.
type harm struct{ added, refreshed, removed int }

var harm0 harm

// setup sets the backend up with the allowlist as it is now.
func (k *Keeper) setup(ctx context.Context) error {
	k.mu.Lock()
	allow := k.allow
	k.allowDue = false
	k.mu.Unlock()
	if err := k.b.Setup(ctx, allow); err != nil {
		k.failed(err, ban.Change{}, true)
		return err
	}
	return nil
}

// whole reads everything and makes the difference. What is told while it reads
// is part of what it compares with, and what is told later is queued behind it.
func (k *Keeper) whole(ctx context.Context, setup bool) (harm, error) {
	if setup {
		if err := k.setup(ctx); err != nil {
			return harm{}, err
		}
	}
	began := k.o.Now()
	have, err := k.b.Active(ctx)
	if err != nil {
		k.failed(err, ban.Change{}, false)
		return harm{}, err
	}
	now := k.o.Now()

	k.mu.Lock()
	k.prune(now.Unix())
	want := slices.AppendSeq(make([]ban.Entry, 0, len(k.want)), maps.Values(k.want))
	fresh := k.missed // told, and not known to be in force
	late := merge(k.due)
	for _, e := range slices.Concat(late.Add, late.Refresh) {
		fresh[KeyOf(e)] = e
	}
	touched := make(map[Key]bool)
	for _, e := range slices.Concat(late.Add, late.Refresh, late.Remove) {
		touched[KeyOf(e)] = true
	}
	k.due, k.missed, k.doubt = nil, make(map[Key]ban.Entry), false
	k.mu.Unlock()

	plan := Plan(have, want, now.Unix())
	news := together(fresh, plan)
	if !plan.Empty() {
		if err := k.b.Apply(ctx, plan); err != nil {
			k.failed(err, news, false)
			return harm{}, err
		}
	}
	k.lastFull, k.slow = now, now.Sub(began) > long
	k.inStep()
	k.made(news)
	return foul(have, plan, touched, now.Unix()), nil
}

// together are the bans of a plan and others, as added: of two of one key that
// of the plan. At a start, when the plan may be long, there are no others.
func together(fresh map[Key]ban.Entry, plan ban.Change) ban.Change {
	all := plan.Add
	if len(plan.Refresh) > 0 || len(fresh) > 0 {
		all = slices.Concat(plan.Add, plan.Refresh)
	}
	if len(fresh) == 0 {
		return ban.Change{Add: all}
	}
	for _, e := range all {
		delete(fresh, KeyOf(e))
	}
	return ban.Change{Add: slices.AppendSeq(all, maps.Values(fresh))}
}

// foul counts what of a plan was none of our doing, and not the clock's either.
func foul(have []Active, plan ban.Change, ours map[Key]bool, now int64) harm {
	ends := make(map[Key]int64, len(have))
	for _, a := range have {
		ends[KeyOf(a.Entry)] = a.Deadline
	}
	count := func(list []ban.Entry, deadline func(ban.Entry) int64) (n int) {
		for _, e := range list {
			if d := deadline(e); !ours[KeyOf(e)] && (d == 0 || d > now+Slack) {
				n++
			}
		}
		return n
	}
	told := func(e ban.Entry) int64 { return e.Deadline }
	held := func(e ban.Entry) int64 { return ends[KeyOf(e)] }
	return harm{count(plan.Add, told), count(plan.Refresh, told), count(plan.Remove, held)}
}

// inSlices asks for what is wanted, some at a time, puts back what is missing,
// and works off the queue in between. Foreign entries and altered deadlines it
// does not see: so where somebody was there a reading of everything is still due.
func (k *Keeper) inSlices(ctx context.Context, setup bool) (harm, error) {
	var h harm
	if setup {
		if err := k.setup(ctx); err != nil {
			return h, err
		}
	}
	k.mu.Lock()
	k.prune(k.o.Now().Unix())
	keys := slices.Collect(maps.Keys(k.want))
	k.mu.Unlock()
	for part := range slices.Chunk(keys, slice) {
		if err := k.work(ctx); err != nil {
			return h, err
		}
		ask := k.settled(part)
		counters, err := k.b.Counters(ctx, ask)
		if err != nil {
			k.failed(err, ban.Change{}, false)
			return h, err
		}
		var missing ban.Change
		for i, c := range counters {
			if !c.Present {
				missing.Add = append(missing.Add, ask[i])
			}
		}
		if missing.Empty() {
			continue
		}
		if err := k.b.Apply(ctx, missing); err != nil {
			k.failed(err, missing, false)
			return h, err
		}
		h.added += len(missing.Add)
		k.made(missing)
	}
	k.inStep()
	return h, nil
}

// settled are the entries of some keys that ought to be in force by now, and
// will be for a while.
func (k *Keeper) settled(keys []Key) (all []ban.Entry) {
	k.mu.Lock()
	defer k.mu.Unlock()
	late := make(map[Key]bool)
	for _, c := range k.due {
		for _, e := range slices.Concat(c.Add, c.Refresh) {
			late[KeyOf(e)] = true
		}
	}
	now := k.o.Now().Unix()
	for _, key := range keys {
		if e, ok := k.want[key]; ok && !late[key] && e.Deadline > now+Slack {
			all = append(all, e)
		}
	}
	return all
}

// prune forgets what the firewall has ended by itself (mu is held).
func (k *Keeper) prune(now int64) {
	maps.DeleteFunc(k.want, func(_ Key, e ban.Entry) bool { return e.Deadline <= now })
	maps.DeleteFunc(k.missed, func(_ Key, e ban.Entry) bool { return e.Deadline <= now })
}
