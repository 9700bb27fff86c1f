def complete(start):
    tokens = [BOS] + [uchars.index(ch) for ch in start]
    for _ in range(block_size - len(start)):
        logits = model(mx.array([tokens]))[0, -1]
        tokens.append(mx.random.categorical(logits / temperature).item())
        if tokens[-1] == BOS:
            break
    return "".join(uchars[token_id] for token_id in tokens[1:] if token_id != BOS)


print([complete("mar") for _ in range(5)])
