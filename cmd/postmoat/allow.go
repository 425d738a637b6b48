package main

import (
	"encoding/json"
	"fmt"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
)

// allowed is an entry of the allowlist as allow prints it.
type allowed struct {
	Prefix string     `json:"prefix"`
	Kind   string     `json:"kind"`
	Origin string     `json:"origin"`
	Until  *time.Time `json:"until,omitempty"`
}

func allowCommand() *cobra.Command {
	var (
		set    settings
		format string
	)
	c := &cobra.Command{
		Use:   "allow",
		Short: "List what is never banned on this host, and why",
		Long: `allow lists the effective allowlist of this host and where each entry comes from:
the configuration, its files and DNS names, special and private ranges, and what
the host itself says (interfaces, gateways, resolvers, Postfix, the peers of
authenticated SSH sessions).

Exit code 1: something of it can't be read.`,
		Example: "  postmoat allow\n  postmoat allow --format json | jq -r '.[] | select(.kind == \"postfix\").prefix'",
		Args:    noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if err := checkFormat(format); err != nil {
				return err
			}
			cfg, err := set.load()
			if err != nil {
				return err
			}
			list, err := cfg.collect(c.Context(), true)
			if err != nil {
				return err
			}
			out := c.OutOrStdout()
			rows := []allowed{}
			for _, e := range list.Entries() {
				r := allowed{Prefix: e.Prefix.String(), Kind: e.Kind.String(), Origin: e.Origin}
				if e.Until != 0 {
					until := time.Unix(e.Until, 0).UTC()
					r.Until = &until
				}
				rows = append(rows, r)
			}
			if format == "json" {
				e := json.NewEncoder(out)
				e.SetIndent("", "  ")
				err = e.Encode(rows)
			} else {
				w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
				fmt.Fprintln(w, "PREFIX\tKIND\tFROM")
				for _, r := range rows {
					fmt.Fprintf(w, "%s\t%s\t%s\n", r.Prefix, r.Kind, r.Origin)
				}
				err = w.Flush()
			}
			for _, p := range list.Problems() {
				fmt.Fprintf(c.ErrOrStderr(), "postmoat: %s\n", p)
			}
			if err == nil && (list.BanNothing() || list.NoWidening()) {
				err = fmt.Errorf("allowlist: not complete")
			}
			return err
		},
	}
	set.add(c)
	addFormat(c, &format)
	return c
}
