package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

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
		kernel bool
		format string
	)
	c := &cobra.Command{
		Use:   "list --firewall",
		Short: "List what the firewall holds",
		Long: `list --firewall reads back what the kernel really holds: every banned prefix,
the door it is banned at, how long it still lasts, and how many packets it cut.`,
		Example: "  postmoat list --firewall\n  postmoat list --firewall --format json | jq -r '.[].prefix'",
		Args:    noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if err := checkFormat(format); err != nil {
				return err
			}
			if !kernel {
				return hinted{usagef("list needs --firewall"), "postmoat list --firewall"}
			}
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
				e := json.NewEncoder(out)
				e.SetIndent("", "  ")
				return e.Encode(rows)
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
		},
	}
	set.add(c)
	c.Flags().BoolVar(&kernel, "firewall", false, "read from the kernel")
	addFormat(c, &format)
	return c
}

func flushCommand() *cobra.Command {
	var set settings
	c := &cobra.Command{
		Use:   "flush",
		Short: "Remove every trace of postmoat from the firewall",
		Long: `flush lifts all bans and removes all that postmoat has put into the firewall:
tables, chains, rules and sets, and nothing else. It refuses while another
postmoat owns the firewall.`,
		Example: "  postmoat flush",
		Args:    noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			cfg, err := set.load()
			if err != nil {
				return err
			}
			lock, err := cfg.lock("flush")
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
