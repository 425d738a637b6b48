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

// Apply makes a change, up to firewall.MaxTransaction entries in one
// transaction. In a user namespace of a host with a small net.core.wmem_max a
// transaction may hold fewer; then it is several, what is added first.
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
	if c.Empty() {
		return ctx.Err()
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
	for part := range slices.Chunk(c.Remove, firewall.MaxTransaction) {
		if err := b.change(ctx, ban.Change{Remove: part}); err != nil {
			return err
		}
	}
	return nil
}

// change is one transaction, if it fits one. First it is sent in the short
// form, which the kernel refuses whole when what is to be removed is gone or
// what is to be added is there; then, and when an answer was lost, in the form
// that comes to the same whatever is there. So doubt needs no reading back.
func (b *Backend) change(ctx context.Context, c ban.Change) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	jobs := b.sort(c)
	need := make(map[slot]bool)
	for s, j := range jobs {
		if len(j.add)+len(j.refresh) > 0 {
			need[s] = true
		} else if !b.slots[s] {
			delete(jobs, s) // removed from a set that never was
		}
	}
	if err := b.ensure(need); err != nil {
		return err
	}
	err := b.commit(jobs, false)
	for try := 0; try < 2 && inDoubt(err); try++ {
		err = b.commit(jobs, true)
	}
	if errors.Is(err, unix.EMSGSIZE) {
		first, second, ok := halve(c)
		if !ok {
			return err
		}
		if err := b.change(ctx, first); err != nil {
			return err
		}
		return b.change(ctx, second)
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

// halve splits a change that does not fit one transaction, what is removed into
// the second. A change of one entry cannot be split.
func halve(c ban.Change) (first, second ban.Change, ok bool) {
	put := len(c.Add) + len(c.Refresh)
	switch {
	case put > 0 && len(c.Remove) > 0:
		return ban.Change{Add: c.Add, Refresh: c.Refresh}, ban.Change{Remove: c.Remove}, true
	case len(c.Add) > 0 && len(c.Refresh) > 0:
		return ban.Change{Add: c.Add}, ban.Change{Refresh: c.Refresh}, true
	case put+len(c.Remove) < 2:
		return c, ban.Change{}, false
	}
	half := func(list []ban.Entry) ([]ban.Entry, []ban.Entry) { return list[:len(list)/2], list[len(list)/2:] }
	first.Add, second.Add = half(c.Add)
	first.Refresh, second.Refresh = half(c.Refresh)
	first.Remove, second.Remove = half(c.Remove)
	return first, second, true
}
