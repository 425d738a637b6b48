package main

import (
	"errors"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/postmoat/postmoat/pkg/control"
)

func banCommand() *cobra.Command {
	var (
		conn    connection
		length  string
		because string
		force   bool
		format  string
	)
	c := &cobra.Command{
		Use:   "ban PREFIX",
		Short: "Ban a network or an address by hand",
		Long: `ban cuts a network or an address off from all mail ports, around what the
allowlist holds of it, and returns when the firewall has it. The ban ends after
--for, or when it is lifted; it is neither renewed nor made part of a wider one.

More than a /16, or an IPv6 /32, needs --force. The network you are logged in
from is never banned.`,
		Example: "  postmoat ban 192.0.2.0/24 --for 7d --because 'abuse desk does not answer'\n  postmoat ban 2001:db8::7",
		Args:    oneArg("a prefix or an address", "postmoat ban 192.0.2.0/24 --for 7d"),
		RunE: func(c *cobra.Command, args []string) error {
			if err := checkFormat(format); err != nil {
				return err
			}
			p, err := argument(args[0])
			if err != nil {
				return err
			}
			d, err := duration(length)
			if err != nil {
				return err
			}
			client, err := conn.dial(c)
			if err != nil {
				return err
			}
			defer client.Close()
			bans, err := client.Ban(c.Context(), control.BanRequest{
				Prefix: p.String(), Seconds: int64(d / time.Second), Because: because, Force: force, Peers: ownPeers(),
			})
			if err != nil {
				return err
			}
			out := c.OutOrStdout()
			if format == "json" {
				return writeJSON(out, bans)
			}
			showBanned(out, bans, time.Now())
			return nil
		},
	}
	conn.add(c)
	c.Flags().StringVar(&length, "for", "", "how long, a `DURATION` like 90m, 36h or 7d (default: until it is unbanned)")
	c.Flags().StringVar(&because, "because", "", "`TEXT` that list and explain show, at most 200 bytes")
	c.Flags().BoolVar(&force, "force", false, "ban more than a /16 or an IPv6 /32")
	addFormat(c, &format)
	c.ValidArgsFunction = cobra.NoFileCompletions
	return c
}

// showBanned says what was banned, a line for each prefix. A ban by hand holds at
// all mail ports: of a network at both doors, of a host at one for both.
func showBanned(out io.Writer, bans []control.Ban, now time.Time) {
	told := make(map[string]bool)
	for _, b := range bans {
		if told[b.Prefix] {
			continue
		}
		told[b.Prefix] = true
		until := ", until it is unbanned"
		if b.Until != nil {
			until = " until " + ahead(b.Until, now)
		}
		fmt.Fprintf(out, "banned %s at all mail ports%s, %s\n", b.Prefix, until, clean(b.State))
	}
}

func unbanCommand() *cobra.Command {
	var (
		conn   connection
		length string
		all    bool
		format string
	)
	c := &cobra.Command{
		Use:   "unban (PREFIX | ADDRESS | --all)",
		Short: "Lift bans",
		Long: `unban lifts the bans inside of a prefix, or carves an address out of a wider one,
and returns when the firewall has let go. So that it does not come straight back
it stays on the allowlist for an hour, or for --for; --for 0 leaves that out, and
more than a /8, or an IPv6 /16, needs that.`,
		Example: "  postmoat unban 192.0.2.7\n  postmoat unban 192.0.2.0/24 --for 7d\n  postmoat unban --all",
		Args: func(c *cobra.Command, args []string) error {
			switch {
			case all && len(args) > 0:
				return usagef("unban: either --all or %q", args[0])
			case all && length != "":
				return hinted{usagef("unban --all takes no --for: nobody could be banned for so long"), "'postmoat pause' keeps new bans away"}
			case all:
				return nil
			}
			return oneArg("a prefix, an address or --all", "postmoat unban 192.0.2.7")(c, args)
		},
		RunE: func(c *cobra.Command, args []string) error {
			if err := checkFormat(format); err != nil {
				return err
			}
			r := control.UnbanRequest{All: all}
			var p netip.Prefix
			if !all {
				var err error
				if p, err = argument(args[0]); err != nil {
					return err
				}
				r.Prefix = p.String()
			}
			switch length {
			case "":
			case "0", "0s", "0m", "0h", "0d":
				r.Seconds = new(int64)
			default:
				d, err := duration(length)
				if err != nil {
					return err
				}
				s := int64(d / time.Second)
				r.Seconds = &s
			}
			client, err := conn.dial(c)
			if err != nil {
				return err
			}
			defer client.Close()
			u, err := client.Unban(c.Context(), r)
			if err != nil {
				return err
			}
			out := c.OutOrStdout()
			if format == "json" {
				return writeJSON(out, u)
			}
			what := r.Prefix
			if all {
				what = "anything"
			}
			if len(u.Lifted) == 0 {
				fmt.Fprintf(out, "no ban held %s\n", what)
			}
			// One that ran at both doors is told once.
			for _, x := range slices.Compact(slices.SortedFunc(slices.Values(u.Lifted), netip.Prefix.Compare)) {
				if !all && x.Bits() < p.Bits() {
					fmt.Fprintf(out, "carved %s out of %s\n", p, x)
				} else {
					fmt.Fprintf(out, "unbanned %s\n", x)
				}
			}
			if u.Pending != "" {
				return hinted{errors.New("the firewall has not let go yet: " + clean(u.Pending)), "it is tried again; 'postmoat status' says when it is in step"}
			}
			if u.Allowed != nil {
				fmt.Fprintf(out, "%s is on the allowlist until %s\n", what, ahead(u.Allowed, time.Now()))
			}
			return nil
		},
	}
	conn.add(c)
	c.Flags().BoolVar(&all, "all", false, "lift every ban")
	c.Flags().StringVar(&length, "for", "", "how long it stays on the allowlist, a `DURATION` like 90m or 7d; 0: not at all (default 1h)")
	addFormat(c, &format)
	c.ValidArgsFunction = conn.complete(bannedPrefixes)
	return c
}
