package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/postmoat/postmoat/pkg/engine"
	"github.com/postmoat/postmoat/pkg/maillog"
	"github.com/postmoat/postmoat/pkg/report"
	"github.com/postmoat/postmoat/pkg/rule"
	"github.com/postmoat/postmoat/pkg/source"
)

func explainCommand() *cobra.Command {
	var (
		set    settings
		conn   connection
		clk    clockFlags
		logs   string
		line   string
		format string
	)
	c := &cobra.Command{
		Use:   "explain (ADDRESS | --log FILE | --line TEXT)",
		Short: "Say what is known of an address, or read in a line or a log",
		Long: `explain ADDRESS asks the daemon what it knows of an address: is it banned, by
which ban and why; how close is it to which limit, by which events; is it known
good, and what allowlists it.

explain --log and --line say of each line what it is, which client it is about,
which rules it matches and what it weighs. They ban nobody, need no daemon and
look at nothing on this host.`,
		Example: `  postmoat explain 192.0.2.7
  postmoat explain --line 'Nov 23 08:58:45 mx1 postfix/smtpd[17]: lost connection after AUTH from unknown[192.0.2.7]'
  postmoat explain --log /var/log/mail.log | less
  zcat mail.log.2.gz | postmoat explain --format json --log -`,
		RunE: func(c *cobra.Command, args []string) error {
			if err := checkFormat(format); err != nil {
				return err
			}
			asked := len(args)
			for _, x := range []string{logs, line} {
				if x != "" {
					asked++
				}
			}
			if asked != 1 {
				return hinted{usagef("explain needs either an ADDRESS, --log FILE or --line TEXT"), "see 'postmoat explain --help'"}
			}
			if len(args) == 1 {
				conn.config = set.config
				return explainAddress(c, &conn, args[0], format)
			}
			loc, now, err := clk.parse()
			if err != nil {
				return err
			}
			cfg, err := set.load()
			if err != nil {
				return err
			}
			rules, err := cfg.rules()
			if err != nil {
				return err
			}
			w := bufio.NewWriterSize(c.OutOrStdout(), 1<<16)
			x := &explainer{w: w, errs: c.ErrOrStderr(), json: format == "json", rules: rules, loc: loc, now: now}
			if line != "" {
				x.single = true
				err = x.lines(c.Context(), "-", strings.NewReader(strings.TrimRight(line, "\n")+"\n"))
			} else {
				err = x.lines(c.Context(), logs, c.InOrStdin())
			}
			return flush(w, err)
		},
	}
	set.add(c)
	conn.addSocket(c)
	clk.add(c)
	c.ValidArgsFunction = conn.complete(bannedMembers)
	c.Flags().StringVar(&logs, "log", "", "explain every line of `FILE`, plain or compressed; - is standard input")
	c.Flags().StringVar(&line, "line", "", "explain one line, `TEXT`")
	addFormat(c, &format)
	return c
}

// An explainer writes what it reads in each line, in order, none left out.
type explainer struct {
	w      io.Writer
	errs   io.Writer
	json   bool
	single bool
	rules  *rule.Set
	loc    *time.Location
	now    time.Time // zero: not given
}

// lines explains what r holds, as one log.
func (x *explainer) lines(ctx context.Context, path string, r io.Reader) error {
	var (
		f  *engine.Front
		ev maillog.Event
	)
	stats, err := source.ReadArchives(ctx, []string{path}, source.ArchiveOptions{Stdin: r, Time: report.LineTime(x.loc, x.now, time.Now())}, func(b *source.Block) error {
		if f == nil {
			f = x.front(b)
		}
		for n, line := range b.All() {
			hits, all, offences := f.Explain(n, line, &ev)
			l := report.Read(n, line, &ev, hits, all, offences)
			if err := x.write(l); err != nil {
				return err
			}
		}
		return nil
	})
	for _, w := range stats.Warnings {
		if stats.LongLines > 0 { // not every line was read
			err = errors.Join(err, errors.New(w))
		} else {
			fmt.Fprintln(x.errs, "postmoat: note: "+w)
		}
	}
	return err
}

// front reads the stamps of a log as a replay does.
func (x *explainer) front(b *source.Block) *engine.Front {
	near, horizon := report.Clock(b, x.now, time.Now())
	return engine.NewFront(x.rules, maillog.SourceOptions{Location: x.loc, Reference: near}, horizon)
}

func (x *explainer) write(l *report.Line) error {
	if x.json {
		_, err := fmt.Fprintf(x.w, "%s\n", l.JSON())
		return err
	}
	return l.Explain(x.w, !x.single)
}
