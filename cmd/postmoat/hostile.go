package main

import (
	_ "embed"
	"net/netip"
	"strings"

	"github.com/postmoat/postmoat/pkg/rule"
)

// hostileTSV are lines that a real Postfix and Dovecot wrote while a client
// tried to blame somebody else: the address to blame ("-": none) and the line.
//
//go:embed hostile.tsv
var hostileTSV string

// hostileLines are what every pattern of an operator is tried on.
func hostileLines() []rule.HostileLine {
	var lines []rule.HostileLine
	for i, row := range strings.Split(strings.TrimSuffix(hostileTSV, "\n"), "\n") {
		client, text, _ := strings.Cut(row, "\t")
		l := rule.HostileLine{Text: text, Pos: rule.Pos{File: "hostile.tsv", Line: i + 1}}
		if a, err := netip.ParseAddr(client); err == nil {
			l.Client = a
		}
		lines = append(lines, l)
	}
	return lines
}
