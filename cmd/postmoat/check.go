package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/postmoat/postmoat/pkg/config"
)

func checkCommand() *cobra.Command {
	var (
		set      settings
		defaults bool
		kernel   bool
		logs     bool
	)
	c := &cobra.Command{
		Use:   "check",
		Short: "Check configuration and rules",
		Long: `check reads the configuration and the rules, reports every mistake with file and
line, rules that can never match among them, and runs the examples of every rule.
It changes nothing.

With --firewall it also tries which firewalls work on this host, and says why
not: each is set up under a name of its own and removed again at once.

With --sources it also says which logs the daemon would follow here, and whether
its user may read them.

Exit code 0: all is well. 1: something is wrong.`,
		Example: `  postmoat check
  postmoat check --config /etc/postmoat/postmoat.yaml --rules /etc/postmoat/rules.d
  postmoat check --firewall --sources
  postmoat check --defaults > postmoat.yaml`,
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			out := bufio.NewWriter(c.OutOrStdout())
			if defaults {
				_, err := fmt.Fprint(out, config.Defaults())
				return flush(out, err)
			}
			cfg, err := set.load()
			if err != nil {
				return err
			}
			rules, err := cfg.rules()
			if err != nil {
				return err
			}
			var wrong []error
			for _, x := range rules.CheckSense() {
				wrong = append(wrong, x)
			}
			examples := append(rules.CheckExamples(), rules.CheckHostile(hostileLines())...)
			for i := range examples {
				wrong = append(wrong, &examples[i])
			}
			if len(wrong) > 0 {
				return errors.Join(wrong...)
			}
			for _, w := range cfg.Warnings(rules) {
				fmt.Fprintln(out, "warning: "+w)
			}
			fmt.Fprintf(out, "%s: ok\n", cfg.name())
			if len(cfg.Rules) > 0 {
				untold := ""
				if n := len(rules.Untold()); n > 0 {
					untold = fmt.Sprintf("; %d have no example that matches: %s", n, strings.Join(rules.Untold(), ", "))
				}
				fmt.Fprintf(out, "%d rules of %s: ok, their examples read as they say%s\n", len(rules.Rules()), strings.Join(cfg.Rules, ", "), untold)
			}
			ctx, cancel := context.WithTimeout(c.Context(), firewallTimeout)
			defer cancel()
			print := func(format string, args ...any) {
				fmt.Fprintf(out, format, args...)
				_ = out.Flush() // the next takes a while; an error is told in the end
			}
			if logs {
				err = cfg.checkSources(ctx, print)
			}
			if kernel {
				err = errors.Join(err, cfg.checkFirewall(ctx, print))
			}
			return flush(out, err)
		},
	}
	set.add(c)
	c.Flags().BoolVar(&kernel, "firewall", false, "also try which firewalls work on this host")
	c.Flags().BoolVar(&logs, "sources", false, "also say which logs the daemon would follow, and whether it may read them")
	c.Flags().BoolVar(&defaults, "defaults", false, "print the default configuration with comments and stop")
	return c
}
