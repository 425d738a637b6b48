package maillog

import "bytes"

// smtpdQuiet reports whether a message of smtpd that no form matches is known
// to be about no client, or to be of no interest: the rest is unknown, and a
// growing share of unknown lines tells the operator that the grammar is
// behind his Postfix.
func smtpdQuiet(m []byte) bool {
	for _, p := range [...]string{
		"error: ", "fatal: ", "panic: ", "proxy-accept: ", "using backwards-compatible default setting",
		"table ", "initializing the server-side TLS engine", "SSL_accept:", "SSL3 alert ",
		"discarding EHLO keywords", "restarting", "statistics: ", "daemon started", "name server ",
		"mapping ", "reloading ", "looking for session ", "save session ", "write session ",
		"lookup session ", "remove session ", "auto_clnt_", "connection established",
		"> ", "< ", ">>> ", "<<< ", "chained ", "dict_", "match_", "send attr ", "input attribute ",
		"name_mask: ", "generic_checks: ", "check_", "smtpd_", "permit_", "reject_", "private/",
		"public/", "event_", "rewrite_", "extract_addr: ", "mynetworks: ", "lookup ", "milter8_",
		"xsasl_", "vstream_", "watchdog_", "master_notify: ", "process_", "trying", "master stream",
		"before input_transp_cleanup", "proxymap stream", "inet_addr_", "been_here: ", "ctable_",
		"been_here", "maps_find: ", "mail_addr_find: ", "report ", "fsspace: ", "Temporary ",
		"idle timeout", "wanted attribute: ", "read from ", "write to ", "tls_", "sasl_", "client-",
	} {
		if has(m, p) {
			return true
		}
	}
	return m[0] == '[' && ends(m, "B blob data]") // journalctl's stand-in for what it does not print
}

// warningQuiet reports whether a warning is about no client though it may
// hold text that looks like one.
func warningQuiet(m []byte) bool {
	for _, p := range [...]string{
		"SASL authentication ", "SASL: ", "TLS library problem", "haproxy ", "proxy ",
		"Wrapper-mode request dropped from ", "don't know ", "disabling input from ",
		"connect to ", "milter ", "problem talking to server ", "timeout on ", "access table ",
		"lost connection with ", "Milter ",
	} {
		if has(m, p) {
			return true
		}
	}
	return bytes.Contains(m, []byte(": RBL lookup error:"))
}

// namesClient reports whether anything in m looks like NAME[ADDR].
func namesClient(m []byte) bool {
	for i := 1; i < len(m); i++ {
		if m[i] == '[' && nameByte[m[i-1]] {
			if _, n := bracketed(m, i); n > 0 {
				return true
			}
		}
	}
	return false
}
