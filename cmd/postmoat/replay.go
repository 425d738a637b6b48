package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/postmoat/postmoat/pkg/engine"
	"github.com/postmoat/postmoat/pkg/report"
)

func replayCommand() *cobra.Command {
	var (
		set          settings
		clk          clockFlags
		since, until string
		format       string
		top          int
		asHost       bool
		apply, yes   bool
	)
	c := &cobra.Command{
		Use:   "replay FILE...",
		Short: "Show what postmoat would have done to old logs",
		Long: `replay reads old maillogs, plain or compressed (gzip, bzip2, xz, zstd), in any
order, as one log; - is standard input. It simulates the bans and reports which
networks would have been banned, when and why, what that would have prevented
and whom it would have hurt. It bans nobody, unless --apply says so: then the
bans that still run at the end of the logs are put into the firewall, for the
time they have left.

It looks at nothing on this host (interfaces, postconf, DNS) unless --as-host
says that the logs are of this host. Lines before --since are read too: they
teach who is a good sender, and nothing else.

A file that can't be read does not stop the others; the exit code is then 1. What
else is odd about the input stands at the end of the report, or on standard error
where the report is JSON.`,
		Example: `  postmoat replay /var/log/mail.log*
  postmoat replay --since 2026-11-20 --format json /var/log/mail.log | jq .prevented
  postmoat replay --rules builtin --rules ./new-rules mail.log.1.gz
  postmoat replay --apply /var/log/mail.log
  journalctl -o short-iso -t postfix/smtpd | postmoat replay -`,
		RunE: func(c *cobra.Command, args []string) error {
			if err := checkFormat(format); err != nil {
				return err
			}
			if len(args) == 0 {
				return hinted{usagef("replay needs at least one log"), "postmoat replay /var/log/mail.log*"}
			}
			if top < 0 {
				return usagef("--top %d: must be 0 (all) or more", top)
			}
			if !tunedByHand() {
				giveRoom(func() { inHugePages(room) })
			}
			loc, now, err := clk.parse()
			if err != nil {
				return err
			}
			from, err := parseTime("--since", since, loc)
			if err != nil {
				return err
			}
			to, err := parseTime("--until", until, loc)
			if err != nil {
				return err
			}
			if !from.IsZero() && !to.IsZero() && to.Before(from) {
				return usagef("--until %s is before --since %s", until, since)
			}
			cfg, err := set.load()
			if err != nil {
				return err
			}
			rules, err := cfg.rules()
			if err != nil {
				return err
			}
			if yes && !apply {
				return usagef("--yes is for --apply")
			}
			list, notes, err := cfg.allow(c.Context(), asHost || apply)
			if err != nil {
				return err
			}
			e := engine.New(cfg.engine(rules, list.Set()))
			e.Hold(false, list.NoWidening()) // as the daemon does
			bar, done := progress(c.ErrOrStderr())
			r, err := report.Replay(c.Context(), e, rules, report.Options{
				Paths: args, Stdin: c.InOrStdin(), Location: loc, Now: now, Clock: time.Now(),
				Since: from, Until: to, Top: top, Brief: format == "json", Progress: bar,
			})
			done()
			if r == nil {
				return err
			}
			r.Notes = slices.Concat(cfg.Never(rules), notes, r.Notes)
			w := bufio.NewWriter(c.OutOrStdout())
			if format == "json" {
				warn(c.ErrOrStderr(), r)
				err = errors.Join(err, r.JSON(w))
			} else {
				err = errors.Join(err, r.Text(w, top))
			}
			err = flush(w, err)
			if !apply || err != nil {
				return err
			}
			a := &applier{cfg: cfg, allow: list.Set(), in: c.InOrStdin(), out: c.ErrOrStderr(), yes: yes}
			return a.apply(c.Context(), e, r.Last)
		},
	}
	set.add(c)
	clk.add(c)
	c.Flags().StringVar(&since, "since", "", "score lines from `TIME` on")
	c.Flags().StringVar(&until, "until", "", "stop at lines after `TIME`")
	c.Flags().BoolVar(&asHost, "as-host", false, "the logs are of this host: never ban its own addresses, gateways, resolvers and Postfix's networks")
	c.Flags().BoolVar(&apply, "apply", false, "put the bans that still run at the end of the logs into the firewall; implies --as-host")
	c.Flags().BoolVar(&yes, "yes", false, "do not ask before --apply bans")
	c.Flags().IntVar(&top, "top", 10, "show at most `N` rows of each list, 0 for all")
	addFormat(c, &format)
	return c
}

// warn tells what the JSON form has no place for: what an operator should know
// about the input.
func warn(w io.Writer, r *report.Report) {
	for _, n := range r.Warnings() {
		fmt.Fprintln(w, "postmoat: note: "+n)
	}
}
