# Makes of the defaults, which `postmoat check --defaults` prints, a file to edit:
# every setting is commented out, so that an update can bring better defaults.
NR == 1 {
	print "# postmoat.yaml: what is commented out is the default; write only what you change."
	print "# See postmoat.yaml(5), and postmoat check before you reload."
	next
}
/^#/ || /^$/ { print; next }
{ print "#" $0 }
