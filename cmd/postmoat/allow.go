package main

import (
	"fmt"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/postmoat/postmoat/pkg/control"
)

func allowCommand() *cobra.Command {
	var (
		set    settings
		conn   connection
		afresh bool
		format string
	)
	c := &cobra.Command{
		Use:   "allow",
		Short: "List what is never banned on this host, and why; add to it",
		Long: `allow lists the effective allowlist and where each entry comes from: the
configuration, its files and DNS names, special and private ranges, what the host
itself says (interfaces, gateways, resolvers, Postfix, the peers of authenticated
SSH sessions), and what 'allow add' put there.

It is that of the daemon. Where none runs, or with --afresh, this command looks
at the host itself.

Exit code 1: something of it can't be read.`,
		Example: `  postmoat allow
  postmoat allow --format json | jq -r '.[] | select(.kind == "postfix").prefix'
  postmoat allow add 192.0.2.0/24 --for 7d --because 'move of the partner'
  postmoat allow remove 192.0.2.0/24`,
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if err := checkFormat(format); err != nil {
				return err
			}
			var list control.Allowlist
			if !afresh {
				conn.config = set.config
				d, err := conn.dial(c)
				if err != nil {
					return err
				}
				defer d.Close()
				l, err := d.Allowlist(c.Context())
				switch {
				case err == nil:
					list = l
				case notThere(err):
					fmt.Fprintf(c.ErrOrStderr(), "postmoat: no daemon could be asked (%s): this is what the host itself says\n", clean(err.Error()))
					afresh = true
				default:
					return err
				}
			}
			if afresh {
				cfg, err := set.load()
				if err != nil {
					return err
				}
				l, err := cfg.collect(c.Context(), true)
				if err != nil {
					return err
				}
				list = control.FromList(l)
			}
			return showAllowlist(c, &list, format)
		},
	}
	set.add(c)
	conn.addSocket(c)
	c.Flags().BoolVar(&afresh, "afresh", false, "look at this host instead of asking the daemon")
	addFormat(c, &format)
	c.AddCommand(allowAddCommand(), allowRemoveCommand())
	return c
}

func showAllowlist(c *cobra.Command, list *control.Allowlist, format string) error {
	out := c.OutOrStdout()
	var err error
	if format == "json" {
		err = writeJSON(out, list.Entries)
	} else {
		now := time.Now()
		w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
		fmt.Fprintln(w, "PREFIX\tKIND\tFROM")
		for _, r := range list.Entries {
			from := clean(r.Origin)
			if r.Until != nil {
				from += ", until " + ahead(r.Until, now)
			}
			fmt.Fprintf(w, "%s\t%s\t%s\n", r.Prefix, r.Kind, from)
		}
		err = w.Flush()
	}
	for _, p := range list.Problems {
		fmt.Fprintf(c.ErrOrStderr(), "postmoat: %s\n", clean(p))
	}
	if err == nil && (list.BanNothing || list.NoWidening) {
		err = fmt.Errorf("allowlist: not complete")
	}
	return err
}

func allowAddCommand() *cobra.Command {
	var (
		conn connection
		r    control.AllowRequest
		d    string
	)
	c := &cobra.Command{
		Use:   "add PREFIX",
		Short: "Put a network or an address on the allowlist of the daemon",
		Long: `add puts a prefix on the allowlist of the running daemon. What is banned of it is
free when the command returns. It is forgotten after --for, and when the daemon
ends unless --persist is said; what is to stay belongs into the configuration.

What is wider than a /8, or an IPv6 /16, is refused: that would lift most bans, and
keep new ones away ('postmoat pause' does that).`,
		Example: "  postmoat allow add 192.0.2.7 --for 36h\n  postmoat allow add 192.0.2.0/24 --persist --because 'branch office'",
		Args:    oneArg("a prefix or an address", "postmoat allow add 192.0.2.0/24 --for 36h"),
		RunE: func(c *cobra.Command, args []string) error {
			p, err := argument(args[0])
			if err != nil {
				return err
			}
			length, err := duration(d)
			if err != nil {
				return err
			}
			r.Prefix, r.Seconds = p.String(), int64(length/time.Second)
			client, err := conn.dial(c)
			if err != nil {
				return err
			}
			defer client.Close()
			a, err := client.AllowAdd(c.Context(), r)
			if err != nil {
				return err
			}
			until := "until the daemon ends"
			switch {
			case a.Until != nil:
				until = "until " + ahead(a.Until, time.Now())
			case r.Persist:
				until = "until it is removed"
			}
			_, err = fmt.Fprintf(c.OutOrStdout(), "%s is never banned %s\n", a.Prefix, until)
			return err
		},
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	conn.add(c)
	c.Flags().StringVar(&d, "for", "", "how long, a `DURATION` like 90m, 36h or 7d")
	c.Flags().BoolVar(&r.Persist, "persist", false, "keep it when the daemon is started again")
	c.Flags().StringVar(&r.Because, "because", "", "`TEXT` that allow shows, at most 200 bytes")
	return c
}

func allowRemoveCommand() *cobra.Command {
	var conn connection
	c := &cobra.Command{
		Use:     "remove PREFIX",
		Short:   "Take back what allow add did",
		Long:    "remove takes a prefix off the allowlist that 'allow add' or 'unban' put there. What comes\nfrom elsewhere is taken out where it comes from; the error says where that is.",
		Example: "  postmoat allow remove 192.0.2.0/24",
		Args:    oneArg("a prefix or an address", "postmoat allow remove 192.0.2.0/24"),
		RunE: func(c *cobra.Command, args []string) error {
			p, err := argument(args[0])
			if err != nil {
				return err
			}
			d, err := conn.dial(c)
			if err != nil {
				return err
			}
			defer d.Close()
			if err := d.AllowRemove(c.Context(), p.String()); err != nil {
				return err
			}
			_, err = fmt.Fprintf(c.OutOrStdout(), "%s is no longer on the allowlist by command\n", p)
			return err
		},
	}
	conn.add(c)
	c.ValidArgsFunction = conn.complete(additions)
	return c
}
