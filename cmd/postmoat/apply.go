package main

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"golang.org/x/term"

	"github.com/postmoat/postmoat/pkg/ban"
	"github.com/postmoat/postmoat/pkg/engine"
	"github.com/postmoat/postmoat/pkg/firewall"
	"github.com/postmoat/postmoat/pkg/firewall/sever"
	"github.com/postmoat/postmoat/pkg/prefix"
)

// An applier puts the bans that still run at the end of a replay into the
// firewall.
type applier struct {
	cfg   *loaded
	allow *prefix.Set
	in    io.Reader
	out   io.Writer // the report may go to stdout: this is not it
	yes   bool
}

// apply shows what it will do, asks, and does it. last is the time of the
// newest line: the bans get what they had left then.
func (a *applier) apply(ctx context.Context, e *engine.Engine, last *time.Time) error {
	var entries []ban.Entry
	if last != nil {
		entries = running(e.Entries(), last.Unix(), time.Now().Unix())
	}
	if len(entries) == 0 {
		_, err := fmt.Fprintln(a.out, "No ban was still running at the end of the logs: the firewall is left as it is.")
		return err
	}
	lock, err := a.cfg.lock("replay --apply", false)
	if err != nil {
		return err
	}
	defer lock.Release()
	ctx, cancel := context.WithTimeout(ctx, firewallTimeout)
	defer cancel()
	b, err := a.cfg.backend(ctx)
	if err != nil {
		return err
	}
	if b.Name() == "pf" {
		return errors.Join(b.Close(), hinted{errors.New("replay --apply: pf can't end bans by itself, so nobody would end these"), "run the daemon instead"})
	}
	defer b.Close()
	if err := a.show(b, entries, *last); err != nil {
		return err
	}
	if ok, err := a.confirmed(); !ok || err != nil {
		return err
	}
	return a.do(ctx, b, entries)
}

// running are the entries that were in force at last, with their remaining
// time counted from now.
func running(entries []ban.Entry, last, now int64) []ban.Entry {
	out := slices.DeleteFunc(entries, func(x ban.Entry) bool { return x.Until <= last })
	for i := range out {
		out[i].Until += now - last
		// Nobody renews these: they end on time.
		out[i].Deadline = out[i].Until
	}
	slices.SortFunc(out, func(x, y ban.Entry) int { return cmp.Or(x.Prefix.Compare(y.Prefix), cmp.Compare(x.Door, y.Door)) })
	return out
}

func (a *applier) show(b firewall.Backend, entries []ban.Entry, last time.Time) error {
	w := tabwriter.NewWriter(a.out, 0, 0, 2, ' ', 0)
	fmt.Fprintf(a.out, "\nThe following %d bans will be put into %s:\n", len(entries), b.Name())
	fmt.Fprintln(w, "  PREFIX\tDOOR\tFOR")
	now := time.Now().Unix()
	for i, x := range entries {
		if i == 40 {
			fmt.Fprintf(w, "  ... and %d more\t\t\n", len(entries)-i)
			break
		}
		fmt.Fprintf(w, "  %s\t%s\t%s\n", x.Prefix, x.Door, time.Duration(x.Until-now)*time.Second)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	if time.Since(last) > time.Hour {
		fmt.Fprintf(a.out, "The newest line is of %s; the bans get the time they had left then.\n", last.Format("2006-01-02 15:04 MST"))
	}
	_, err := fmt.Fprintf(a.out, "%d prefixes are allowlisted and stay reachable. 'postmoat flush' undoes all of this.\n", a.allow.Len())
	return err
}

// confirmed asks, unless --yes said so already.
func (a *applier) confirmed() (bool, error) {
	if a.yes {
		return true, nil
	}
	f, ok := a.in.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return false, hinted{usagef("replay --apply asks before it bans, and there is no terminal to ask on"), "say --yes"}
	}
	fmt.Fprint(a.out, "Go on? [y/N] ")
	answer, err := bufio.NewReader(a.in).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return false, err
	}
	switch strings.ToLower(strings.TrimSpace(answer)) {
	case "y", "yes":
		return true, nil
	}
	_, err = fmt.Fprintln(a.out, "Nothing was done.")
	return false, err
}

// do puts the entries in place, around what else is there already, and cuts
// the sessions that are open.
func (a *applier) do(ctx context.Context, b firewall.Backend, entries []ban.Entry) error {
	if err := b.Setup(ctx, a.allow.All()); err != nil {
		return err
	}
	if err := b.Apply(ctx, ban.Change{Add: entries}); err != nil {
		return err
	}
	held, err := b.Counters(ctx, entries)
	if err != nil {
		return err
	}
	missing := 0
	for _, c := range held {
		if !c.Present {
			missing++
		}
	}
	if missing > 0 {
		return fmt.Errorf("%s: %d of %d bans did not arrive in the kernel", b.Name(), missing, len(entries))
	}
	fmt.Fprintf(a.out, "%d bans are in force.\n", len(entries))
	return a.cut(ctx, entries)
}

// cut ends the open sessions of banned clients. Where that can't be had the
// bans hold all the same.
func (a *applier) cut(ctx context.Context, entries []ban.Entry) error {
	o, err := a.cfg.firewallOptions()
	if err != nil {
		return err
	}
	s, err := sever.New(o)
	if err != nil {
		fmt.Fprintf(a.out, "Open connections of banned clients were not cut: %v\n", err)
		return nil
	}
	s.SetAllow(a.allow.All())
	r, err := s.Sever(ctx, entries)
	fmt.Fprintf(a.out, "%d open connections of banned clients were cut.\n", r.Destroyed)
	return err
}
