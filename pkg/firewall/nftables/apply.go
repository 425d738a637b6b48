//go:build linux

package nftables

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/postmoat/postmoat/pkg/ban"
	"github.com/postmoat/postmoat/pkg/firewall"
	"golang.org/x/sys/unix"
)

// Apply makes a change: up to firewall.MaxTransaction entries are added in one
// transaction and removed in the next. In a user namespace of a host with a
// small net.core.wmem_max a transaction holds fewer; then they are several.
func (b *Backend) Apply(ctx context.Context, c ban.Change) error {
	if err := firewall.CheckChange(name, c); err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	return explain("apply", b.apply(ctx, c))
}

func (b *Backend) apply(ctx context.Context, c ban.Change) error {
	if b.slots == nil {
		return &firewall.Error{Backend: name, Op: "apply", Kind: firewall.ErrGone, Err: errors.New("not set up")}
	}
	if len(c.Add)+len(c.Refresh)+len(c.Remove) <= firewall.MaxTransaction {
		return b.change(ctx, c)
	}
	for part := range slices.Chunk(c.Add, firewall.MaxTransaction) {
		if err := b.change(ctx, ban.Change{Add: part}); err != nil {
			return err
		}
	}
	for part := range slices.Chunk(c.Refresh, firewall.MaxTransaction) {
		if err := b.change(ctx, ban.Change{Refresh: part}); err != nil {
			return err
		}
	}
	if splits(c) {
		quiesce()
	}
	for part := range slices.Chunk(c.Remove, firewall.MaxTransaction) {
		if err := b.change(ctx, ban.Change{Remove: part}); err != nil {
			return err
		}
	}
	return nil
}

// change is two transactions, if it fits them: what is added and refreshed,
// then what is removed. One would not do: the kernel switches from the old to
// the new contents between any two look-ups of a packet, so that a client whose
// host ban gives way to a wide one (or the other way) would meet neither, once
// in some hundred packets when changes come thick. This way both hold for an
// instant. Where the narrow take the place of the wide that instant is as long
// as the packets that have asked for the narrow before need to ask for the wide.
func (b *Backend) change(ctx context.Context, c ban.Change) error {
	jobs := b.sort(c)
	need := make(map[slot]bool)
	for s, j := range jobs {
		if len(j.add)+len(j.refresh) > 0 {
			need[s] = true
		}
	}
	if err := b.ensure(need); err != nil {
		return err
	}
	puts, removes := make(map[slot]*job), make(map[slot]*job)
	for s, j := range jobs {
		puts[s] = &job{add: j.add, refresh: j.refresh}
		if b.slots[s] { // else it never was there
			removes[s] = &job{remove: j.remove}
		}
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := b.settle(puts); err != nil {
		return err
	}
	if splits(c) {
		quiesce()
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	return b.settle(removes)
}

// settle is one transaction, or several where it does not fit one. First it is
// sent in the short form, which the kernel refuses whole when what is to be
// removed is gone or what is to be added is there; then, and when an answer was
// lost, in the form that comes to the same whatever is there. So doubt needs no
// reading back.
func (b *Backend) settle(jobs map[slot]*job) error {
	err := b.commit(jobs, false)
	for try := 0; try < 2 && inDoubt(err); try++ {
		err = b.commit(jobs, true)
	}
	if errors.Is(err, unix.EMSGSIZE) {
		first, second, ok := halve(jobs)
		if !ok {
			return err
		}
		if err := b.settle(first); err != nil {
			return err
		}
		return b.settle(second)
	}
	return err
}

func inDoubt(err error) bool {
	return errors.Is(err, unix.EEXIST) || errors.Is(err, unix.ENOENT) || errors.Is(err, errLost)
}

// A job is what happens to one set.
type job struct{ add, refresh, remove []element }

// sort makes jobs of a change. What is due within a second is removed.
func (b *Backend) sort(c ban.Change) map[slot]*job {
	now := b.o.Now()
	jobs := make(map[slot]*job)
	var last slot
	var j *job
	of := func(e ban.Entry) *job {
		if s := slotOf(e); s != last || j == nil {
			last = s
			if j = jobs[s]; j == nil {
				j = new(job)
				jobs[s] = j
			}
		}
		return j
	}
	put := func(e ban.Entry, to *[]element, j *job) {
		if d, ok := firewall.Ahead(e, now); ok {
			*to = append(*to, element{key: key(e.Prefix), timeout: d})
		} else {
			j.remove = append(j.remove, element{key: key(e.Prefix)})
		}
	}
	for _, e := range c.Add {
		j := of(e)
		put(e, &j.add, j)
	}
	for _, e := range c.Refresh {
		j := of(e)
		put(e, &j.refresh, j)
	}
	for _, e := range c.Remove {
		j := of(e)
		j.remove = append(j.remove, element{key: key(e.Prefix)})
	}
	return jobs
}

// commit sends jobs, in the short form or in the sure one.
func (b *Backend) commit(jobs map[slot]*job, sure bool) error {
	t := &b.batch
	t.begin()
	for s, j := range jobs {
		put := func(list []element, flags uint16) {
			for part := range slices.Chunk(list, perMessage) {
				t.elements(unix.NFT_MSG_NEWSETELEM, unix.NLM_F_CREATE|flags, b.layout.table.Name, s.set(), s.width(), part)
			}
		}
		del := func(list []element) {
			for part := range slices.Chunk(list, perMessage) {
				t.elements(unix.NFT_MSG_DELSETELEM, 0, b.layout.table.Name, s.set(), s.width(), bare(part))
			}
		}
		if sure {
			// Add, delete, add: after the first it is there, after the
			// second it is not, and the third sets the timeout, which
			// kernels before 6.12 do not change of what is there.
			put(brief(j.remove), 0)
			put(j.refresh, 0)
			put(j.add, 0)
			del(j.add)
		}
		del(j.remove)
		del(j.refresh)
		put(j.refresh, unix.NLM_F_EXCL)
		put(j.add, unix.NLM_F_EXCL)
	}
	if t.count == 1 {
		return nil
	}
	return b.send(t)
}

// bare are elements without timeouts: a deletion that names one is refused by
// some kernels.
func bare(list []element) []element {
	out := slices.Clone(list)
	for i := range out {
		out[i].timeout = 0
	}
	return out
}

// brief are elements that would not stay long.
func brief(list []element) []element {
	out := slices.Clone(list)
	for i := range out {
		out[i].timeout = time.Minute
	}
	return out
}

// halve splits jobs that do not fit one transaction. One entry cannot be split.
func halve(jobs map[slot]*job) (first, second map[slot]*job, ok bool) {
	first, second = make(map[slot]*job), make(map[slot]*job)
	half := func(list []element, upper *int) (a, b []element) {
		// Odd ones out go to either side in turn, so that both get smaller.
		n := (len(list) + *upper) / 2
		*upper = (*upper + len(list)) % 2
		return list[:n], list[n:]
	}
	upper := 0
	for s, j := range jobs {
		x, y := new(job), new(job)
		x.add, y.add = half(j.add, &upper)
		x.refresh, y.refresh = half(j.refresh, &upper)
		x.remove, y.remove = half(j.remove, &upper)
		first[s], second[s] = x, y
	}
	return first, second, size(first) > 0 && size(second) > 0
}

// size is the number of elements.
func size(jobs map[slot]*job) (n int) {
	for _, j := range jobs {
		n += len(j.add) + len(j.refresh) + len(j.remove)
	}
	return n
}
