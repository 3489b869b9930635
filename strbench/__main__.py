from strbench.cli import main

main()
