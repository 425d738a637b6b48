package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/postmoat/postmoat/pkg/control"
	"github.com/postmoat/postmoat/pkg/firewall"
)

// listed is an entry of the kernel as list prints it.
type listed struct {
	Backend   string     `json:"backend"`
	Prefix    string     `json:"prefix"`
	Door      string     `json:"door"`
	Until     *time.Time `json:"until,omitempty"`     // absent where the firewall has no timeouts (pf)
	Remaining *int64     `json:"remaining,omitempty"` // seconds
	Packets   uint64     `json:"packets"`
	Bytes     uint64     `json:"bytes"`
}

func listCommand() *cobra.Command {
	var (
		set    settings
		conn   connection
		kernel bool
		wide   bool
		query  control.Query
		format string
	)
	c := &cobra.Command{
		Use:   "list [ADDRESS | PREFIX]",
		Short: "List the running bans",
		Long: `list asks the daemon which bans run: since when, until when, how many offenders
they hold and how often these have knocked since. With an address or a prefix it
lists those that hold it, or lie inside of it.

A single host is cut off at all mail ports, at whatever door it was banned.

list --firewall asks the kernel instead, what it really holds, and how many
packets that cut; it needs no daemon.`,
		Example: `  postmoat list
  postmoat list 192.0.2.7
  postmoat list --door smtp --sort knocks --wide
  postmoat list --format json | jq -r '.[] | select(.level > 2).prefix'
  postmoat list --firewall`,
		Args: func(c *cobra.Command, args []string) error {
			if len(args) > 1 || len(args) == 1 && query.Prefix != "" {
				return usagef("list takes one address or prefix, got %q too", args[len(args)-1])
			}
			return nil
		},
		RunE: func(c *cobra.Command, args []string) error {
			if err := checkFormat(format); err != nil {
				return err
			}
			if len(args) == 1 {
				query.Prefix = args[0]
			}
			if kernel {
				if query != (control.Query{}) || wide {
					return usagef("list --firewall lists all that the kernel holds: it takes no filter, --sort or --wide")
				}
				return listKernel(c, &set, format)
			}
			if err := checkQuery(query); err != nil {
				return err
			}
			conn.config = set.config
			d, err := conn.dial(c)
			if err != nil {
				return err
			}
			defer d.Close()
			bans, err := d.Bans(c.Context(), query)
			if errors.Is(err, control.ErrNotRunning) {
				return hinted{err, "'postmoat list --firewall' asks the kernel, which may still hold bans; " + control.Hint(err)}
			}
			if err != nil {
				return err
			}
			if format == "json" {
				return writeJSON(c.OutOrStdout(), bans)
			}
			return showBans(c.OutOrStdout(), bans, query, wide, time.Now())
		},
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	set.add(c)
	conn.addSocket(c)
	f := c.Flags()
	f.BoolVar(&kernel, "firewall", false, "ask the kernel what it really holds")
	f.StringVar(&query.Door, "door", "", "only those at `DOOR`: smtp or login")
	f.StringVar(&query.Prefix, "prefix", "", "only those that hold `PREFIX`, or lie inside of it")
	f.StringVar(&query.State, "state", "", "only those in `STATE`: \"in force\", waiting, hidden or \"dry run\"")
	f.StringVar(&query.Sort, "sort", "", "`ORDER`: "+strings.Join(control.Sorts(), ", ")+" (default prefix)")
	f.BoolVar(&wide, "wide", false, "also levels, rules and reasons")
	addFormat(c, &format)
	fixed := func(flag string, values ...string) {
		if err := c.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp)); err != nil {
			panic(err) // there is no such flag
		}
	}
	fixed("door", "smtp", "login")
	fixed("sort", control.Sorts()...)
	return c
}

// checkQuery finds what is wrong with a query before anybody is asked.
func checkQuery(q control.Query) error {
	err := q.Check()
	if err == nil {
		return nil
	}
	return hinted{usageError{err}, control.Hint(err)}
}

// listKernel lists what the firewall holds.
func listKernel(c *cobra.Command, set *settings, format string) error {
	cfg, err := set.load()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(c.Context(), firewallTimeout)
	defer cancel()
	rows, err := cfg.held(ctx)
	if err != nil {
		return err
	}
	out := c.OutOrStdout()
	if format == "json" {
		return writeJSON(out, rows)
	}
	if len(rows) == 0 {
		_, err := fmt.Fprintln(out, "the firewall holds no ban of postmoat")
		return err
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "PREFIX\tDOOR\tREMAINING\tPACKETS\tBYTES\tBACKEND")
	for _, r := range rows {
		left := "no end of its own"
		if r.Remaining != nil {
			left = (time.Duration(*r.Remaining) * time.Second).String()
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%d\t%d\t%s\n", r.Prefix, r.Door, left, r.Packets, r.Bytes, r.Backend)
	}
	return w.Flush()
}

// showBans writes a table of bans.
func showBans(out io.Writer, bans []control.Ban, q control.Query, wide bool, now time.Time) error {
	if len(bans) == 0 {
		text := "no ban runs"
		if q.Prefix != "" {
			text = "no ban holds " + q.Prefix + ", or lies inside of it"
		} else if q.Door != "" || q.State != "" {
			text = "no such ban runs"
		}
		_, err := fmt.Fprintln(out, text)
		return err
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	head := "PREFIX\tDOOR\tSINCE\tENDS\tMEMBERS\tKNOCKS\tSTATE"
	if wide {
		head += "\tLEVEL\tBECAUSE"
	}
	fmt.Fprintln(w, head)
	for _, b := range bans {
		state := b.State
		if b.Pinned {
			state += ", by hand"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s", b.Prefix, b.Door, clock(b.From, now), ahead(b.Until, now),
			number(uint64(len(b.Members))), number(b.Knocks), clean(state))
		if wide {
			fmt.Fprintf(w, "\t%d\t%s", b.Level, clean(reason(&b)))
		}
		fmt.Fprintln(w)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	if len(bans) > 1 {
		fmt.Fprintln(out, several(len(bans), "ban"))
	}
	return nil
}

// reason is why a ban is there, in a few words: the operator's, or its rules.
func reason(b *control.Ban) string {
	if b.Because != "" {
		return b.Because
	}
	rules := slices.SortedFunc(maps.Keys(b.Rules), func(x, y string) int {
		return cmp.Or(cmp.Compare(b.Rules[y], b.Rules[x]), strings.Compare(x, y))
	})
	for i, r := range rules {
		rules[i] = fmt.Sprintf("%s %d", r, b.Rules[r])
	}
	return strings.Join(rules, ", ")
}

func flushCommand() *cobra.Command {
	var set settings
	c := &cobra.Command{
		Use:   "flush",
		Short: "Remove every trace of postmoat from the firewall",
		Long: `flush lifts all bans and removes all that postmoat has put into the firewall:
tables, chains, rules and sets, and nothing else. It refuses while a daemon runs,
which would put all of it back.`,
		Example: "  postmoat flush",
		Args:    noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			cfg, err := set.load()
			if err != nil {
				return err
			}
			lock, err := cfg.lock("flush", false)
			if errors.Is(err, firewall.ErrBusy) {
				return hinted{err, "where the daemon runs, 'postmoat unban --all' lifts all bans; or stop it first"}
			}
			if err != nil {
				return err
			}
			defer lock.Release()
			ctx, cancel := context.WithTimeout(c.Context(), firewallTimeout)
			defer cancel()
			// Of all backends: the configuration may have been another one.
			err = cfg.each(func(b firewall.Backend) error { return b.Teardown(ctx) })
			if err != nil {
				return err
			}
			_, err = fmt.Fprintln(c.OutOrStdout(), "nothing of postmoat is left in the firewall")
			return err
		},
	}
	set.add(c)
	return c
}

// held is what the backends of this system hold. It changes nothing.
func (l *loaded) held(ctx context.Context) ([]listed, error) {
	rows := []listed{}
	err := l.each(func(b firewall.Backend) error {
		active, err := b.Active(ctx)
		if err != nil {
			return err
		}
		for _, a := range active {
			r := listed{Backend: b.Name(), Prefix: a.Prefix.String(), Door: a.Door.String(), Packets: a.Packets, Bytes: a.Bytes}
			if a.Remaining > 0 {
				until, left := time.Unix(a.Deadline, 0).UTC(), int64(a.Remaining/time.Second)
				r.Until, r.Remaining = &until, &left
			}
			rows = append(rows, r)
		}
		return nil
	})
	return rows, err
}

// each does something with all backends of this system that exist here. The
// error is that of those, or says that none exists.
func (l *loaded) each(do func(firewall.Backend) error) error {
	cleanEnvironment()
	o, err := l.firewallOptions()
	if err != nil {
		return err
	}
	o.Action = firewall.Drop // what is there is read and removed all the same
	var wrong, absent []error
	for _, k := range backendKinds() {
		b, err := k.open(o)
		if err == nil {
			err = do(b)
			err = errors.Join(err, b.Close())
		}
		switch {
		case errors.Is(err, firewall.ErrGone):
			// It is there and holds nothing of ours.
		case errors.Is(err, firewall.ErrMissingProgram), errors.Is(err, firewall.ErrMissingModule):
			absent = append(absent, err)
		case err != nil:
			wrong = append(wrong, err)
		}
	}
	if len(wrong) == 0 && len(absent) == len(backendKinds()) {
		wrong = absent
	}
	return errors.Join(wrong...)
}
